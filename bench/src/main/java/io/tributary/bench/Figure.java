// SPDX-License-Identifier: Apache-2.0

package io.tributary.bench;

import java.util.List;

/**
 * What one run measured, beside its limit in the same run.
 *
 * @param name what
 * @param unit of the value and of the limit
 * @param lessIsBetter whether a smaller value is a better one
 * @param value the median of what was measured
 * @param limit what the limit is; empty where there is none
 * @param limitValue the median of it; 0 where there is none
 */
record Figure(
        String name,
        String unit,
        boolean lessIsBetter,
        double value,
        String limit,
        double limitValue) {

    /** More is better, such as GB/s. */
    static Figure more(String name, String unit, List<Double> measured) {
        return new Figure(name, unit, false, Samples.median(measured), "", 0);
    }

    /** Less is better, such as ms. */
    static Figure less(String name, String unit, List<Double> measured) {
        return new Figure(name, unit, true, Samples.median(measured), "", 0);
    }

    /** The same beside a limit. */
    Figure beside(String what, List<Double> measured) {
        return new Figure(name, unit, lessIsBetter, value, what, Samples.median(measured));
    }

    /** Whether there is something to compare with. */
    boolean limited() {
        return !limit.isEmpty();
    }

    /**
     * What two machines, or two hours on one, can be compared by: the ratio to the limit or, where
     * there is none, the value.
     */
    double score() {
        return limited() ? value / limitValue : value;
    }
}
