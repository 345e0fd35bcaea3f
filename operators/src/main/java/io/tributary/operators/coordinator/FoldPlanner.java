// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.coordinator;

import io.tributary.operators.aggregate.AggregatorInput;
import io.tributary.operators.aggregate.AggregatorInput.CloseNode;
import io.tributary.operators.aggregate.AggregatorInput.DropRound;
import io.tributary.operators.aggregate.AggregatorInput.FoldUpdate;
import io.tributary.operators.aggregate.AggregatorInput.RoundEnd;
import io.tributary.operators.coordinator.AggregationPlacement.Deal;
import io.tributary.operators.coordinator.AggregationPlacement.Seat;
import io.tributary.operators.coordinator.CoordinatorState.AcceptedUpdate;
import io.tributary.operators.coordinator.RoundRules.Timing;
import io.tributary.operators.rule.AggregationRule;
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
    private final AggregationRule rule;
    private final int shards;

    FoldPlanner(Topology topology, RoundRules.Folding folding, int shards) {
        this.topology = topology;
        this.timing = folding.timing();
        this.rule = folding.algorithm().rule();
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
            String leaf = AggregationPlacement.leaf(update, state.deal(topology));
            for (int shard = 0; shard < shards; shard++) {
                out.send(0, fold(leaf, update.claim(), shard));
            }
        }
    }

    private FoldUpdate fold(String node, Claim claim, int shard) {
        return new FoldUpdate(
                node,
                shard,
                claim.id(),
                claim.payload(),
                rule instanceof AggregationRule.Streaming mean
                        ? mean.weight(claim)
                        : claim.samples(),
                claim.trainer(),
                claim.scanned());
    }

    /** The round is over: each node that has contributions is told how many to wait for. */
    void closed(CoordinatorState state, Out out) {
        if (rule instanceof AggregationRule.Gathering) {
            gathered(state, out);
        } else {
            summed(state, out);
        }
    }

    /** The top gets all updates of a shard at once, and the levels below it nothing. */
    private void gathered(CoordinatorState state, Out out) {
        int top = state.tree(topology).size() - 1;
        String root = AggregationPlacement.top(state.tree(topology), state.deal(topology));
        RoundEnd end = end(state);
        for (int shard = 0; shard < shards; shard++) {
            for (AcceptedUpdate update : state.counted.values()) {
                out.send(top, fold(root, update.claim(), shard));
            }
            out.send(top, new CloseNode(root, shard, state.id(), "", state.counted.size(), end));
        }
    }

    private static RoundEnd end(CoordinatorState state) {
        int counted = state.counted.size();
        return new RoundEnd(
                state.model(),
                state.base(),
                counted,
                Math.max(counted, state.members.size()),
                state.lastUpdateMicros);
    }

    private void summed(CoordinatorState state, Out out) {
        List<List<Seat>> levels = seats(state);
        RoundEnd end = end(state);
        Deal deal = state.deal(topology);
        Map<Claim, String> late = new LinkedHashMap<>();
        if (timing == Timing.LAZY) {
            state.counted
                    .values()
                    .forEach(c -> late.put(c.claim(), AggregationPlacement.leaf(c, deal)));
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
                                    end));
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
                state.tree(topology), state.counted.values(), state.deal(topology));
    }
}
