// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.aggregate;

import io.tributary.protocol.tensor.ModelLayout;
import io.tributary.protocol.tensor.ModelLayout.Segment;
import java.math.BigInteger;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/** Sums of a shard as float64 values. */
final class TestSums {

    private TestSums() {}

    static double[] values(ModelLayout layout, int shard, PartialSum sum) {
        ByteBuffer bytes =
                ByteBuffer.wrap(((PartialSum.Inline) sum).sum()).order(ByteOrder.LITTLE_ENDIAN);
        double[] values = new double[layout.shardLength(shard)];
        for (Segment segment : layout.segments(shard)) {
            for (int i = 0; i < segment.count(); i++) {
                int at = segment.sumAt() + i * layout.type(segment).sumBytes();
                values[segment.at() + i] =
                        layout.type(segment).floating()
                                ? bytes.getDouble(at)
                                : integer(bytes.getLong(at), bytes.getLong(at + 8)).doubleValue();
            }
        }
        return values;
    }

    private static BigInteger integer(long low, long high) {
        return BigInteger.valueOf(high)
                .shiftLeft(64)
                .add(new BigInteger(Long.toUnsignedString(low)));
    }

    static PartialSum.Inline of(ModelLayout layout, int shard, double... values) {
        ByteBuffer bytes =
                ByteBuffer.allocate(values.length * Double.BYTES).order(ByteOrder.LITTLE_ENDIAN);
        bytes.asDoubleBuffer().put(values);
        return new PartialSum.Inline(EarlierSums.convert(layout, shard, bytes.array()));
    }
}
