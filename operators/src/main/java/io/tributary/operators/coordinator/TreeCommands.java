// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.coordinator;

import io.tributary.operators.aggregate.AggregatorInput;
import io.tributary.operators.aggregate.AggregatorInput.CloseNode;
import io.tributary.operators.aggregate.AggregatorInput.DropRound;
import io.tributary.operators.aggregate.AggregatorInput.FoldUpdate;
import io.tributary.operators.coordinator.CoordinatorState.Counted;
import io.tributary.operators.coordinator.RoundRules.Timing;
import io.tributary.protocol.message.Claim;
import io.tributary.protocol.topology.Topology;
import io.tributary.protocol.topology.Topology.Node;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** Turns decisions into what each level of the tree is told, shard by shard. Pure. */
final class TreeCommands {

    private final Topology topology;
    private final Timing timing;
    private final int shards;

    TreeCommands(Topology topology, Timing timing, int shards) {
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
    void counted(Counted update, Out out) {
        if (timing == Timing.EAGER) {
            for (int shard = 0; shard < shards; shard++) {
                out.send(0, fold(update, shard));
            }
        }
    }

    private static FoldUpdate fold(Counted update, int shard) {
        Claim claim = update.claim();
        return new FoldUpdate(update.leaf(), shard, claim.id(), claim.payload(), claim.samples());
    }

    /** The round is over: each node that has contributions is told how many to wait for. */
    void closed(CoordinatorState state, Out out) {
        List<List<Node>> tree = state.tree(topology);
        List<Map<String, Integer>> contributions = contributions(state);
        for (int shard = 0; shard < shards; shard++) {
            if (timing == Timing.LAZY) {
                for (Counted update : state.counted.values()) {
                    out.send(0, fold(update, shard));
                }
            }
            for (int level = 0; level < tree.size(); level++) {
                for (Node node : tree.get(level)) {
                    int expected = contributions.get(level).getOrDefault(node.name(), 0);
                    if (expected > 0) {
                        out.send(
                                level,
                                new CloseNode(
                                        node.name(),
                                        shard,
                                        state.id(),
                                        node.parent(),
                                        expected,
                                        state.model(),
                                        state.lastUpdateMicros));
                    }
                }
            }
        }
    }

    /** The round is abandoned: the leaves that folded something forget it. */
    void abandoned(CoordinatorState state, Out out) {
        if (timing == Timing.LAZY) {
            return;
        }
        for (String leaf : contributions(state).get(0).keySet()) {
            for (int shard = 0; shard < shards; shard++) {
                out.send(0, new DropRound(leaf, shard, state.id()));
            }
        }
    }

    /** For each level, how many updates or partial sums each node gets; only those that get any. */
    private List<Map<String, Integer>> contributions(CoordinatorState state) {
        List<List<Node>> tree = state.tree(topology);
        List<Map<String, Integer>> levels = new ArrayList<>();
        Map<String, Integer> lowest = new HashMap<>();
        state.counted.values().forEach(c -> lowest.merge(c.leaf(), 1, Integer::sum));
        levels.add(lowest);
        for (int level = 0; level + 1 < tree.size(); level++) {
            Map<String, Integer> below = levels.get(level);
            Map<String, Integer> above = new HashMap<>();
            for (Node node : tree.get(level)) {
                if (below.containsKey(node.name())) {
                    above.merge(node.parent(), 1, Integer::sum);
                }
            }
            levels.add(above);
        }
        return levels;
    }
}
