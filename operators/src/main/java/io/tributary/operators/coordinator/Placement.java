// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.coordinator;

import io.tributary.operators.coordinator.CoordinatorState.Member;
import io.tributary.protocol.topology.Topology;
import io.tributary.protocol.topology.Topology.Node;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/** Decides which leaf takes a trainer: of those of its group the one with the fewest. Pure. */
final class Placement {

    private final Topology topology;

    Placement(Topology topology) {
        this.topology = topology;
    }

    /**
     * @return the node's name; empty where the topology has no such group
     */
    Optional<String> leaf(String group, Map<String, Member> members) {
        if (!topology.trainerGroups().contains(group)) {
            return Optional.empty();
        }
        List<Node> leaves = topology.nodes().get(0);
        return leaves.stream()
                .filter(n -> n.equals(topology.root()) || n.group().equals(group))
                .min(Comparator.comparingLong(n -> load(n.name(), members)))
                .map(Node::name);
    }

    private static long load(String leaf, Map<String, Member> members) {
        return members.values().stream().filter(m -> m.leaf().equals(leaf)).count();
    }
}
