// SPDX-License-Identifier: Apache-2.0

package io.tributary.datapath.network;

import io.tributary.memory.region.TensorFile;
import io.tributary.protocol.tensor.TensorInfo;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** Inputs that were recorded, in a safetensors file: one tensor {@code inputs}. Stateless. */
public final class Inputs {

    private static final String NAME = "inputs";

    private Inputs() {}

    /**
     * Reads inputs.
     *
     * @param size how many numbers each has
     * @throws IllegalArgumentException when there are none, or others
     */
    public static List<double[]> read(Path file, int size) {
        try (TensorFile all = TensorFile.open(file)) {
            TensorInfo tensor =
                    all.header()
                            .find(NAME)
                            .filter(t -> t.shape().size() == 2 && t.shape().get(1) == size)
                            .filter(t -> t.elements() > 0 && t.dtype().floating())
                            .orElseThrow(
                                    () ->
                                            new IllegalArgumentException(
                                                    "%s: expected a tensor '%s' of floats [N, %d], with N of 1 or more; it has %s"
                                                            .formatted(
                                                                    file,
                                                                    NAME,
                                                                    size,
                                                                    all.header().tensors().stream()
                                                                            .map(Inputs::text)
                                                                            .toList())));
            ByteBuffer bytes = all.elements(tensor, 0, Math.toIntExact(tensor.elements()));
            List<double[]> inputs = new ArrayList<>();
            for (int row = 0; row < tensor.shape().get(0); row++) {
                double[] values = new double[size];
                for (int i = 0; i < size; i++) {
                    int at = row * size + i;
                    values[i] = tensor.dtype().get(bytes, at * tensor.dtype().bytes());
                    if (!Double.isFinite(values[i])) {
                        throw new IllegalArgumentException(
                                "%s: input %d of row %d is %s, expected finite numbers"
                                        .formatted(file, i, row, values[i]));
                    }
                }
                inputs.add(values);
            }
            return inputs;
        }
    }

    private static String text(TensorInfo tensor) {
        return "%s %s%s".formatted(tensor.name(), tensor.dtype(), tensor.shape());
    }
}
