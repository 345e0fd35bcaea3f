// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.types;

import java.io.IOException;
import java.nio.ByteBuffer;
import org.apache.flink.core.memory.DataInputView;
import org.apache.flink.core.memory.DataOutputView;

/** Moves float64 arrays through Flink's byte views in blocks of 64 KiB, big-endian. */
final class Blocks {

    private static final int ELEMENTS = 8192;

    private Blocks() {}

    static void write(double[] values, DataOutputView out) throws IOException {
        ByteBuffer block = ByteBuffer.allocate(Math.min(ELEMENTS, values.length) * Double.BYTES);
        for (int at = 0; at < values.length; at += ELEMENTS) {
            int count = Math.min(ELEMENTS, values.length - at);
            block.asDoubleBuffer().put(values, at, count);
            out.write(block.array(), 0, count * Double.BYTES);
        }
    }

    static void read(double[] values, DataInputView in) throws IOException {
        ByteBuffer block = ByteBuffer.allocate(Math.min(ELEMENTS, values.length) * Double.BYTES);
        for (int at = 0; at < values.length; at += ELEMENTS) {
            int count = Math.min(ELEMENTS, values.length - at);
            in.readFully(block.array(), 0, count * Double.BYTES);
            block.asDoubleBuffer().get(values, at, count);
        }
    }
}
