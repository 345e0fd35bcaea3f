// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.aggregate;

import io.tributary.protocol.tensor.ModelLayout;
import io.tributary.protocol.tensor.ModelLayout.Segment;
import java.math.BigDecimal;
import java.math.BigInteger;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/** Sums as version 1 wrote them: a float64 for each element, whatever its type. */
final class EarlierSums {

    private EarlierSums() {}

    static byte[] convert(ModelLayout layout, int shard, byte[] sum) {
        ByteBuffer from = ByteBuffer.wrap(sum).order(ByteOrder.LITTLE_ENDIAN);
        ByteBuffer to = ByteBuffer.allocate(layout.sumBytes(shard)).order(ByteOrder.LITTLE_ENDIAN);
        for (Segment segment : layout.segments(shard)) {
            boolean floating = layout.type(segment).floating();
            for (int i = 0; i < segment.count(); i++) {
                double value = from.getDouble((segment.at() + i) * Double.BYTES);
                if (floating) {
                    to.putDouble(segment.sumAt() + i * Double.BYTES, value);
                } else {
                    BigInteger integer = new BigDecimal(value).toBigInteger();
                    int at = segment.sumAt() + i * 2 * Long.BYTES;
                    to.putLong(at, integer.longValue());
                    to.putLong(at + Long.BYTES, integer.shiftRight(Long.SIZE).longValue());
                }
            }
        }
        return to.array();
    }
}
