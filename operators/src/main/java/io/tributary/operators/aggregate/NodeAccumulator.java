// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.aggregate;

import io.tributary.operators.aggregate.AggregatorInput.CloseNode;
import java.util.Optional;

/**
 * What one tree node holds for one shard of one round: unnormalised sums in float64, so that no
 * order of arrival and no number of updates shows in the float32 result. Mutable; only reached
 * through Flink state, which copies it when a snapshot is under way.
 */
final class NodeAccumulator {

    /** Empty until the first contribution: closes come long before partial sums. */
    double[] sum = {};

    double weight;
    int contributions;
    Optional<CloseNode> close = Optional.empty();

    double[] sum(int elements) {
        if (sum.length == 0) {
            sum = new double[elements];
        }
        return sum;
    }

    void add(double otherWeight, double[] otherSum) {
        double[] into = sum(otherSum.length);
        for (int i = 0; i < into.length; i++) {
            into[i] += otherSum[i];
        }
        weight += otherWeight;
        contributions++;
    }

    boolean complete() {
        return close.isPresent() && close.get().contributions() == contributions;
    }
}
