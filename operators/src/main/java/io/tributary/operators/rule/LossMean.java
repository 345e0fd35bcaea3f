// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.rule;

import io.tributary.protocol.message.Claim;
import java.util.List;
import java.util.Map;

/**
 * The mean in which a trainer weighs more the larger its loss is, as q-FedAvg needs it.
 *
 * @param q how much more, ≥ 0
 * @param lipschitz L, &gt; 0
 */
public record LossMean(double q, double lipschitz) implements AggregationRule.Streaming {

    private static final long serialVersionUID = 1L;

    /** The total Σ h. */
    public static final String SUM_OF_H = "h";

    /** Added to each loss, as Flower does it: a loss of 0 has no power of q - 1. */
    private static final double SMALLEST = 1e-10;

    @Override
    public List<RequiredMetric> metrics() {
        return List.of(RequiredMetric.LOSS_BEFORE, RequiredMetric.SQUARED_NORM);
    }

    @Override
    public double weight(Claim claim) {
        return Math.pow(loss(claim), q);
    }

    @Override
    public Map<String, Double> totals(Claim claim) {
        double norm = claim.metrics().get(RequiredMetric.SQUARED_NORM.name());
        return Map.of(
                SUM_OF_H,
                q * Math.pow(loss(claim), q - 1) * lipschitz * lipschitz * norm
                        + lipschitz * weight(claim));
    }

    private static double loss(Claim claim) {
        return claim.metrics().get(RequiredMetric.LOSS_BEFORE.name()) + SMALLEST;
    }
}
