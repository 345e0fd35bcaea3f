// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.aggregate;

import io.tributary.memory.kernel.Memory;
import io.tributary.operators.rule.AggregationRule;
import io.tributary.protocol.tensor.DType;
import java.math.BigDecimal;
import java.math.BigInteger;
import java.nio.ByteBuffer;

/**
 * A run of elements of all updates of a round, in float64. Integers of more than 53 bits are
 * rounded; what comes out for an integer type is an integer again. Used for one run after the
 * other; not thread-safe.
 */
final class GatheredRun {

    /** What the elements of all updates take together, whatever the number of updates. */
    private static final int MAX_BYTES = 8 << 20;

    private static final int MAX_ELEMENTS = 1 << 13;

    private final long[] samples;
    private double[][] updates = new double[0][0];
    private double[] result = new double[0];

    /**
     * @param samples of each update
     */
    GatheredRun(long[] samples) {
        this.samples = samples;
    }

    /** The most elements of a run. */
    int most() {
        int fit = MAX_BYTES / Double.BYTES / samples.length;
        return Math.max(1, Math.min(MAX_ELEMENTS, fit));
    }

    /** Begins a run of so many elements. */
    void begin(int count) {
        if (result.length != count) {
            updates = new double[samples.length][count];
            result = new double[count];
        }
    }

    /**
     * Reads an update's elements.
     *
     * @param update which update
     * @param at where the first element is, in bytes
     * @return whether all are finite
     */
    boolean read(int update, DType type, Memory memory, long at) {
        double[] values = updates[update];
        ByteBuffer from = memory.slice(at, values.length * type.bytes());
        boolean finite = true;
        for (int i = 0; i < values.length; i++) {
            values[i] = type.get(from, i * type.bytes());
            finite &= Double.isFinite(values[i]);
        }
        return finite;
    }

    void aggregate(AggregationRule.Gathering rule) {
        rule.aggregate(updates, samples, result);
    }

    /**
     * Writes the result as a sum.
     *
     * @param at where the first element goes, in bytes
     */
    void write(DType type, Memory sum, long at) {
        ByteBuffer to = sum.slice(at, result.length * type.sumBytes());
        for (int i = 0; i < result.length; i++) {
            if (type.floating()) {
                to.putDouble(i * Double.BYTES, result[i]);
            } else {
                BigInteger value = new BigDecimal(Math.rint(result[i])).toBigInteger();
                to.putLong(i * 2 * Long.BYTES, value.longValue());
                to.putLong(
                        i * 2 * Long.BYTES + Long.BYTES, value.shiftRight(Long.SIZE).longValue());
            }
        }
    }
}
