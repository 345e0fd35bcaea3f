// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.coordinator;

import io.tributary.operators.aggregate.AggregatorInput.FoldUpdate;
import io.tributary.operators.coordinator.RoundRules.Timing;
import io.tributary.operators.coordinator.TrainerEntry.Counted;
import io.tributary.operators.rule.AggregationRule;
import io.tributary.protocol.message.Claim;
import io.tributary.protocol.topology.Topology;
import java.util.Map;

/** Turns an update that counts into what leaves are told, shard by shard. */
@Policy
final class FoldPlanner {

    private final Topology topology;
    private final RoundRules.Folding folding;
    private final int shards;

    FoldPlanner(Topology topology, RoundRules.Folding folding, int shards) {
        this.topology = topology;
        this.folding = folding;
        this.shards = shards;
    }

    /** Whether updates are folded at the close: until then, all of each is needed. */
    boolean atClose() {
        return folding.timing() == Timing.LAZY;
    }

    /** An update counts: eager rounds fold it now. */
    void counted(CoordinatorState state, Counted update, Claim claim, RoundEvents events) {
        if (!atClose()) {
            state.totals.add(folding.algorithm().rule(), claim);
            String leaf = AggregationPlacement.leaf(update, state.deal(topology));
            for (int shard = 0; shard < shards; shard++) {
                events.command(0, fold(leaf, claim, shard));
            }
        }
    }

    /** Sums over the updates of a round that closes. */
    Map<String, Double> totals(CoordinatorState state) {
        if (!atClose()) {
            return state.totals.sums();
        }
        Totals totals = new Totals();
        for (int place = 0; place < state.trainers.places(); place++) {
            state.trainers
                    .update(place)
                    .flatMap(Counted::claim)
                    .ifPresent(claim -> totals.add(folding.algorithm().rule(), claim));
        }
        return totals.sums();
    }

    /** Tells a node to fold an update. */
    FoldUpdate fold(String node, Claim claim, int shard) {
        return new FoldUpdate(
                node,
                shard,
                claim.id(),
                claim.payload(),
                folding.algorithm().rule() instanceof AggregationRule.Streaming mean
                        ? mean.weight(claim)
                        : claim.samples(),
                claim.samples(),
                claim.trainer(),
                claim.scanned());
    }
}
