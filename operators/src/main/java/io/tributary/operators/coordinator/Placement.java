// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.coordinator;

import io.tributary.operators.coordinator.CoordinatorState.Member;
import io.tributary.protocol.topology.Topology;
import io.tributary.protocol.topology.Topology.Node;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;

/** Decides which leaf takes a trainer: of those of its group the one with the fewest. Pure. */
final class Placement {

    private final Topology topology;

    Placement(Topology topology) {
        this.topology = topology;
    }

    /**
     * @return the node's name; empty where the topology has no such group
     */
    Optional<String> leaf(String group, CoordinatorState state) {
        if (!topology.trainerGroups().contains(group)) {
            return Optional.empty();
        }
        return leaf(group, state.tree(topology).get(0), state.members);
    }

    private Optional<String> leaf(String group, List<Node> leaves, Map<String, Member> members) {
        return leaves.stream()
                .filter(n -> n.equals(topology.root()) || n.group().equals(group))
                .min(Comparator.comparingLong(n -> load(n.name(), members)))
                .map(Node::name);
    }

    /** Deals all trainers out again where the tree is another than that of the last round. */
    void place(CoordinatorState state) {
        if (state.tree.equals(topology.nodes())) {
            return;
        }
        Map<String, Member> placed = new TreeMap<>();
        state.members.forEach(
                (trainer, m) -> {
                    String leaf = leaf(m.group(), topology.nodes().get(0), placed).orElse(m.leaf());
                    placed.put(trainer, new Member(m.instance(), m.group(), leaf, m.lastSeen()));
                });
        state.members = placed;
    }

    private static long load(String leaf, Map<String, Member> members) {
        return members.values().stream().filter(m -> m.leaf().equals(leaf)).count();
    }
}
