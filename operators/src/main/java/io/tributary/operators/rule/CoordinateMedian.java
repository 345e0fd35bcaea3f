// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.rule;

import java.util.Arrays;

/**
 * The median of each element by itself, the mean of the two in the middle where the number of
 * updates is even (Yin et al., ICML 2018, definition 1). Samples do not count: otherwise who claims
 * many could move it.
 */
public record CoordinateMedian() implements AggregationRule.Gathering {

    private static final long serialVersionUID = 1L;

    @Override
    public void aggregate(double[][] updates, long[] samples, double[] result) {
        double[] values = new double[updates.length];
        int upper = values.length / 2;
        int lower = (values.length - 1) / 2;
        for (int i = 0; i < result.length; i++) {
            for (int k = 0; k < values.length; k++) {
                values[k] = updates[k][i];
            }
            Arrays.sort(values);
            // Halved first, so that two large values have no infinite sum.
            result[i] = lower == upper ? values[upper] : values[lower] / 2 + values[upper] / 2;
        }
    }
}
