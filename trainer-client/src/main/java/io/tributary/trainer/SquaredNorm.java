// SPDX-License-Identifier: Apache-2.0

package io.tributary.trainer;

import io.tributary.memory.kernel.Memory;
import io.tributary.memory.region.TensorFile;
import io.tributary.protocol.message.UpdateKind;
import io.tributary.protocol.tensor.SafetensorsHeader;
import io.tributary.protocol.tensor.TensorInfo;
import io.tributary.protocol.tensor.TensorSets;
import java.nio.ByteBuffer;

/** How far an update is from the model. Stateless and thread-safe. */
final class SquaredNorm {

    /** The metric's name. */
    static final String NAME = "squared-norm";

    private static final int BLOCK = 1 << 16;

    private SquaredNorm() {}

    /**
     * ‖wₖ − w‖² in float64, over all floating tensors of the model that the update has.
     *
     * @param update the file
     * @param header its header
     * @param kind what is in it
     */
    static double of(Memory update, SafetensorsHeader header, UpdateKind kind, TensorFile model) {
        double sum = 0;
        for (TensorInfo tensor : TensorSets.model(header)) {
            if (tensor.dtype().floating()) {
                sum += of(update, header.dataOffset() + tensor.begin(), tensor, kind, model);
            }
        }
        return sum;
    }

    private static double of(
            Memory update, long at, TensorInfo tensor, UpdateKind kind, TensorFile model) {
        TensorInfo start = model.header().find(tensor.name()).orElseThrow();
        int size = tensor.dtype().bytes();
        double sum = 0;
        for (long from = 0; from < tensor.elements(); from += BLOCK) {
            int count = (int) Math.min(BLOCK, tensor.elements() - from);
            ByteBuffer values = update.slice(at + from * size, count * size);
            ByteBuffer starts = model.elements(start, from, count);
            for (int i = 0; i < count; i++) {
                double change = tensor.dtype().get(values, i * size);
                if (kind == UpdateKind.WEIGHTS) {
                    change -= tensor.dtype().get(starts, i * size);
                }
                sum += change * change;
            }
        }
        return sum;
    }
}
