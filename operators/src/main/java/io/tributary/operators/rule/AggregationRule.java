// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.rule;

import io.tributary.protocol.message.Claim;
import java.io.Serializable;
import java.util.List;
import java.util.Map;

/**
 * How the updates of a round become one value for each element. Whether a sum is enough decides how
 * the whole tree works, so there are two kinds and no third. Implementations are immutable,
 * thread-safe, and read no clock.
 */
public sealed interface AggregationRule extends Serializable {

    /** Metrics that each update must have; one without them is rejected. */
    default List<RequiredMetric> metrics() {
        return List.of();
    }

    /** A weighted mean: a sum is enough, so each update is folded when it comes, and forgotten. */
    non-sealed interface Streaming extends AggregationRule {

        /**
         * The weight of an update in the mean. Tensors of integers are weighted by samples.
         *
         * @return finite, &gt; 0; an update with another weight is rejected
         */
        double weight(Claim claim);

        /**
         * What an update adds to sums that the server optimizer asks for, by name: the same names
         * for each update.
         *
         * @return finite numbers; an update with others is rejected
         */
        default Map<String, Double> totals(Claim claim) {
            return Map.of();
        }
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
