// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.coordinator;

import io.tributary.operators.aggregate.AggregatorInput;
import io.tributary.operators.aggregate.AggregatorInput.CloseNode;
import io.tributary.operators.aggregate.AggregatorInput.DropRound;
import io.tributary.operators.aggregate.AggregatorInput.FoldUpdate;
import io.tributary.operators.coordinator.AggregationPlacement.Seat;
import io.tributary.operators.coordinator.CoordinatorState.AcceptedUpdate;
import io.tributary.operators.coordinator.RoundRules.Timing;
import io.tributary.protocol.message.Claim;
import io.tributary.protocol.topology.Topology;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Turns decisions into what each level of the tree is told, shard by shard. Pure. */
@Policy
final class FoldPlanner {

    private final Topology topology;
    private final Timing timing;
    private final int shards;

    FoldPlanner(Topology topology, Timing timing, int shards) {
        this.topology = topology;
        this.timing = timing;
        this.shards = shards;
    }

    /** Takes a command for a level; 0 is the lowest. */
    @FunctionalInterface
    interface Out {
        void send(int level, AggregatorInput command);
    }

    /** An update counts: eager rounds fold it now. */
    void counted(CoordinatorState state, AcceptedUpdate update, Out out) {
        if (timing == Timing.EAGER) {
            String leaf = AggregationPlacement.leaf(update, state.homes, state.subtasks);
            for (int shard = 0; shard < shards; shard++) {
                out.send(0, fold(leaf, update.claim(), shard));
            }
        }
    }

    private static FoldUpdate fold(String leaf, Claim claim, int shard) {
        return new FoldUpdate(
                leaf,
                shard,
                claim.id(),
                claim.payload(),
                claim.samples(),
                claim.trainer(),
                claim.scanned());
    }

    /** The round is over: each node that has contributions is told how many to wait for. */
    void closed(CoordinatorState state, Out out) {
        List<List<Seat>> levels = seats(state);
        Map<Claim, String> late = new LinkedHashMap<>();
        if (timing == Timing.LAZY) {
            state.counted
                    .values()
                    .forEach(
                            c ->
                                    late.put(
                                            c.claim(),
                                            AggregationPlacement.leaf(
                                                    c, state.homes, state.subtasks)));
        }
        for (int shard = 0; shard < shards; shard++) {
            for (Map.Entry<Claim, String> update : late.entrySet()) {
                out.send(0, fold(update.getValue(), update.getKey(), shard));
            }
            for (int level = 0; level < levels.size(); level++) {
                for (Seat seat : levels.get(level)) {
                    out.send(
                            level,
                            new CloseNode(
                                    seat.name(),
                                    shard,
                                    state.id(),
                                    seat.parent(),
                                    seat.contributions(),
                                    state.model(),
                                    state.base(),
                                    state.lastUpdateMicros));
                }
            }
        }
    }

    /** The round is abandoned: the leaves that folded something forget it. */
    void abandoned(CoordinatorState state, Out out) {
        if (timing == Timing.LAZY) {
            return;
        }
        for (Seat leaf : seats(state).get(0)) {
            for (int shard = 0; shard < shards; shard++) {
                out.send(0, new DropRound(leaf.name(), shard, state.id()));
            }
        }
    }

    private List<List<Seat>> seats(CoordinatorState state) {
        return AggregationPlacement.seats(
                state.tree(topology), state.counted.values(), state.homes, state.subtasks);
    }
}
