// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.rule;

import io.tributary.protocol.message.Claim;

/** The mean in which each trainer counts alike, however many samples it has. */
public record EqualMean() implements AggregationRule.Streaming {

    private static final long serialVersionUID = 1L;

    @Override
    public double weight(Claim claim) {
        return 1;
    }
}
