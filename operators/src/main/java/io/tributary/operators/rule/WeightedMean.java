// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.rule;

import io.tributary.protocol.message.Claim;

/** The mean weighted by samples (McMahan et al., AISTATS 2017, algorithm 1). */
public record WeightedMean() implements AggregationRule.Streaming {

    private static final long serialVersionUID = 1L;

    @Override
    public double weight(Claim claim) {
        return claim.samples();
    }
}
