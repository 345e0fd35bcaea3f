// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.coordinator;

import io.tributary.protocol.topology.Topology;
import io.tributary.protocol.topology.Topology.Node;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * Decides which leaf folds an update: the leaves of its trainer's group take turns. A trainer has
 * no leaf of its own, so nothing has to be dealt out again when trainers come and go, or when the
 * tree changes.
 */
@Policy
final class LeafAssigner {

    private final Topology topology;
    private List<List<Node>> tree = List.of();
    private final Map<String, List<String>> leaves = new HashMap<>();

    LeafAssigner(Topology topology) {
        this.topology = topology;
    }

    /** The leaf of the next update of a group that counts in the open round. */
    String leaf(String group, CoordinatorState state) {
        List<List<Node>> now = state.tree(topology);
        if (now != tree) {
            tree = now;
            leaves.clear();
        }
        List<String> its = leaves.computeIfAbsent(group, name -> leaves(name, now.get(0)));
        return its.get(state.trainers.counted(group) % its.size());
    }

    private List<String> leaves(String group, List<Node> lowest) {
        return lowest.stream()
                .filter(node -> node.equals(topology.root()) || node.group().equals(group))
                .map(Node::name)
                .toList();
    }
}
