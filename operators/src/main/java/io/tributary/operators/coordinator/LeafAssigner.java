// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.coordinator;

import io.tributary.protocol.topology.Topology;
import io.tributary.protocol.topology.Topology.Node;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.function.ToIntFunction;

/** Decides which leaf takes a trainer: of those of its group the one with the fewest. Pure. */
@Policy
final class LeafAssigner {

    private final Topology topology;

    LeafAssigner(Topology topology) {
        this.topology = topology;
    }

    /**
     * @return the node's name; empty where the topology has no such group
     */
    Optional<String> leaf(String group, CoordinatorState state) {
        return topology.trainerGroups().contains(group)
                ? leaf(group, state.tree(topology).get(0), state::load)
                : Optional.empty();
    }

    private Optional<String> leaf(String group, List<Node> leaves, ToIntFunction<String> load) {
        return leaves.stream()
                .filter(n -> n.equals(topology.root()) || n.group().equals(group))
                .map(Node::name)
                .min(Comparator.comparingInt(load));
    }

    /** Deals all trainers out again where the tree is another than that of the last round. */
    void place(CoordinatorState state) {
        if (!state.tree.equals(topology.nodes())) {
            List<Node> leaves = topology.nodes().get(0);
            state.place(
                    (m, loads) ->
                            leaf(m.group(), leaves, name -> loads.getOrDefault(name, 0))
                                    .orElse(m.leaf()));
        }
    }
}
