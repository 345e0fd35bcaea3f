// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.aggregate;

import io.tributary.operators.aggregate.AggregatorInput.CloseNode;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * What one tree node holds for one shard of one round while the subtask works on it: what waits to
 * be folded, and the sum so far. Not thread-safe.
 */
final class LiveAccumulator {

    /** Contributions that have come and are not yet in the sum. */
    final List<AggregatorInput> waiting = new ArrayList<>();

    /** Empty as long as there is nothing in it. */
    Optional<ShardSum> sum = Optional.empty();

    /** What is in the sum. */
    final RunWeights weights;

    int contributions;
    Optional<CloseNode> close = Optional.empty();

    /**
     * @param weights of what is in the sum already
     */
    LiveAccumulator(RunWeights weights) {
        this.weights = weights;
    }

    boolean complete() {
        return close.isPresent() && close.get().contributions() == contributions + waiting.size();
    }
}
