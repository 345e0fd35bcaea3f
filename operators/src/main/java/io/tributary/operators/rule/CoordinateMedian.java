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
            double sum = values[lower] + values[upper];
            // Two large values may have an infinite sum, and two small ones no halves.
            result[i] = Double.isFinite(sum) ? sum / 2 : values[lower] / 2 + values[upper] / 2;
        }
    }
}
