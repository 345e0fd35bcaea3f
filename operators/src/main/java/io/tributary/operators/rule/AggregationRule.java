// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.rule;

import io.tributary.protocol.message.Claim;
import java.io.Serializable;

/**
 * How the updates of a round become one value for each element. Whether a sum is enough decides how
 * the whole tree works, so there are two kinds and no third. Implementations are immutable,
 * thread-safe, and read no clock.
 */
public sealed interface AggregationRule extends Serializable {

    /** A weighted mean: a sum is enough, so each update is folded when it comes, and forgotten. */
    non-sealed interface Streaming extends AggregationRule {

        /**
         * The weight of an update in the mean.
         *
         * @return &gt; 0
         */
        long weight(Claim claim);
    }

    /**
     * A rule that needs all updates of a round at once. They wait in their regions until the round
     * closes, so all of a round's updates must have room in the quota. The top then works shard by
     * shard; the levels below it have nothing to do.
     */
    non-sealed interface Gathering extends AggregationRule {

        /**
         * Aggregates a run of elements of one tensor.
         *
         * @param updates {@code updates[k][i]} is element {@code i} of update {@code k}, in
         *     float64; finite; at least one update; may be changed
         * @param samples of each update, &gt; 0
         * @param result where element {@code i} goes
         */
        void aggregate(double[][] updates, long[] samples, double[] result);
    }
}
