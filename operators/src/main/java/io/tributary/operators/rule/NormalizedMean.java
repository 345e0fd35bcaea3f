// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.rule;

import io.tributary.protocol.message.Claim;
import java.util.List;
import java.util.Map;

/** The mean weighted by samples for each local step, as FedNova needs it. */
public record NormalizedMean() implements AggregationRule.Streaming {

    private static final long serialVersionUID = 1L;

    /** The total Σ n. */
    public static final String SAMPLES = "samples";

    /** The total Σ n·τ. */
    public static final String SAMPLE_STEPS = "samples times steps";

    @Override
    public List<RequiredMetric> metrics() {
        return List.of(RequiredMetric.STEPS);
    }

    @Override
    public double weight(Claim claim) {
        return claim.samples() / steps(claim);
    }

    @Override
    public Map<String, Double> totals(Claim claim) {
        return Map.of(
                SAMPLES, (double) claim.samples(), SAMPLE_STEPS, claim.samples() * steps(claim));
    }

    private static double steps(Claim claim) {
        return claim.metrics().get(RequiredMetric.STEPS.name());
    }
}
