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

    final double[] sum;
    double weight;
    int contributions;
    Optional<CloseNode> close = Optional.empty();

    NodeAccumulator(int elements) {
        this(new double[elements]);
    }

    NodeAccumulator(double[] sum) {
        this.sum = sum;
    }

    void add(double otherWeight, double[] otherSum) {
        for (int i = 0; i < sum.length; i++) {
            sum[i] += otherSum[i];
        }
        weight += otherWeight;
        contributions++;
    }

    boolean complete() {
        return close.isPresent() && close.get().contributions() == contributions;
    }
}
