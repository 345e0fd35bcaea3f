// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.aggregate;

import io.tributary.operators.types.StreamType;
import io.tributary.protocol.message.PayloadRef;
import io.tributary.protocol.message.RoundId;
import java.util.Map;
import org.apache.flink.api.common.typeinfo.TypeInformation;

/**
 * What an aggregator is told. It takes no decision of its own: it folds what it is told to fold and
 * emits when it is told to close.
 */
public sealed interface AggregatorInput {

    /** How Flink serialises it. */
    TypeInformation<AggregatorInput> TYPE =
            StreamType.binary(AggregatorInput.class, AggregatorInputSerializer.INSTANCE);

    /** Name of the tree node that it is for. */
    String node();

    /** The shard. */
    int shard();

    /** The opening of the round. */
    RoundId round();

    /**
     * Add {@code weight × update}, of integers {@code samples × update}, whose sums are exact.
     *
     * @param node the leaf
     * @param shard the shard
     * @param round the round
     * @param payload the update
     * @param weight what it weighs in a mean, &gt; 0
     * @param samples on which it was trained, &gt; 0
     * @param trainer who wrote it
     * @param scanned whether the job has read its values; otherwise the trainer promises that they
     *     are finite
     */
    record FoldUpdate(
            String node,
            int shard,
            RoundId round,
            PayloadRef payload,
            double weight,
            long samples,
            String trainer,
            boolean scanned)
            implements AggregatorInput {

        /** The same, weighted by its samples. */
        public FoldUpdate(
                String node,
                int shard,
                RoundId round,
                PayloadRef payload,
                long samples,
                String trainer,
                boolean scanned) {
            this(node, shard, round, payload, samples, samples, trainer, scanned);
        }
    }

    /**
     * Add a child's unnormalised sum.
     *
     * @param node the parent
     * @param shard the shard
     * @param round the round
     * @param weights Σ weights of each run of the shard
     * @param sum Σ weight × value, one for each element of the shard
     */
    record FoldPartial(String node, int shard, RoundId round, RunWeights weights, PartialSum sum)
            implements AggregatorInput {}

    /**
     * How a round ended.
     *
     * @param model the version of the model that it ends with
     * @param base the version of the model that trainers started from
     * @param counted updates that count
     * @param trainers trainers that took part in the job then, ≥ counted
     * @param totals sums over the updates that count, by name, as the rule wants them
     * @param lastUpdateMicros when the round's last update came, µs since 1970
     */
    record RoundEnd(
            RoundId model,
            RoundId base,
            int counted,
            int trainers,
            Map<String, Double> totals,
            long lastUpdateMicros) {

        public RoundEnd {
            totals = Map.copyOf(totals);
        }
    }

    /**
     * Emit as soon as all contributions have been folded; those of children may come after this.
     *
     * @param node the node
     * @param shard the shard
     * @param round the round
     * @param parent where the sum goes; empty for the root
     * @param contributions number of updates or partial sums to be folded, ≥ 1
     * @param end how the round ended
     */
    record CloseNode(
            String node, int shard, RoundId round, String parent, int contributions, RoundEnd end)
            implements AggregatorInput {}

    /**
     * Forget what was folded for a round that has been abandoned.
     *
     * @param node the node
     * @param shard the shard
     * @param round the round
     */
    record DropRound(String node, int shard, RoundId round) implements AggregatorInput {}
}
