// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.aggregate;

import io.tributary.protocol.tensor.DType;
import io.tributary.protocol.tensor.Elements;
import java.nio.ByteBuffer;
import java.nio.FloatBuffer;

/** Adds weighted elements, read where they lie, to float64 sums. Stateless and thread-safe. */
final class FoldKernel {

    private FoldKernel() {}

    /**
     * {@code sum[at + i] += weight × elements[i]}.
     *
     * @param elements little-endian elements of {@code type}
     */
    static void fold(
            DType type, ByteBuffer elements, int count, double weight, double[] sum, int at) {
        if (type == DType.F32) {
            FloatBuffer floats = elements.asFloatBuffer();
            for (int i = 0; i < count; i++) {
                sum[at + i] += weight * floats.get(i);
            }
            return;
        }
        for (int i = 0; i < count; i++) {
            sum[at + i] += weight * Elements.get(type, elements, i * type.bytes());
        }
    }
}
