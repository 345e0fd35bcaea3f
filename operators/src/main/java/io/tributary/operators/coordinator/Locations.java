// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.coordinator;

import io.tributary.operators.aggregate.SubtaskAffinity;
import io.tributary.protocol.message.TrainerEvent.SubtaskLocated;
import io.tributary.protocol.topology.Topology;
import java.util.Map;
import java.util.TreeMap;
import java.util.TreeSet;

/**
 * Which subtasks of the tree are on which host, as they have said since the job began or failed.
 */
@Policy
final class Locations {

    private final boolean wanted;
    private final boolean anybodyBelowTop;
    private final int parallelism;
    private final Map<Integer, String> nodes = new TreeMap<>();
    private int expected = Integer.MAX_VALUE;

    /**
     * @param wanted whether it matters
     * @param parallelism of the tree's levels
     */
    Locations(boolean wanted, Topology topology, int parallelism) {
        this.wanted = wanted;
        this.anybodyBelowTop = topology.nodes().size() > 1;
        this.parallelism = parallelism;
    }

    void take(SubtaskLocated located) {
        if (wanted) {
            nodes.put(located.subtask(), located.node());
            // Of several sources the one with the most subtasks has one beside each of the tree's.
            expected =
                    expected == Integer.MAX_VALUE
                            ? located.parallelism()
                            : Math.max(expected, located.parallelism());
        }
    }

    /** Whether all have spoken, or nobody has to. */
    boolean known() {
        return !wanted || nodes.size() >= expected;
    }

    /** Of the tree's levels. */
    int parallelism() {
        return parallelism;
    }

    /**
     * For each host, its subtasks. None where that is of no use: on one host, and where trainers
     * are right below the top, which is where the global model is.
     */
    Map<String, SubtaskAffinity> affinities() {
        Map<String, SubtaskAffinity> affinities = new TreeMap<>();
        if (new TreeSet<>(nodes.values()).size() < 2 || !anybodyBelowTop) {
            return affinities;
        }
        for (String node : new TreeSet<>(nodes.values())) {
            affinities.put(
                    node,
                    SubtaskAffinity.of(
                            nodes.keySet().stream()
                                    .filter(subtask -> nodes.get(subtask).equals(node))
                                    .toList(),
                            parallelism));
        }
        return affinities;
    }
}
