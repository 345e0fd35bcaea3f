// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.coordinator;

import io.tributary.operators.aggregate.SubtaskAffinity;
import io.tributary.protocol.message.Topics;
import io.tributary.protocol.message.TrainerEvent.SubtaskLocated;
import io.tributary.protocol.topology.Topology;
import java.util.Map;
import java.util.TreeMap;
import java.util.TreeSet;

/**
 * How many subtasks the tree's levels have, and on which hosts they are, as sources have said since
 * the job began or failed. Flink may give a job that goes on other numbers than it was submitted
 * with.
 */
@Policy
final class Locations {

    private final boolean wanted;
    private final boolean anybodyBelowTop;
    private final int submitted;
    private final Map<Integer, String> nodes = new TreeMap<>();

    /** The most subtasks that a source has; 0 while none has spoken. */
    private int reported;

    /**
     * @param wanted whether it matters on which hosts they are
     * @param submitted the parallelism of the tree's levels as the job was submitted
     */
    Locations(boolean wanted, Topology topology, int submitted) {
        this.wanted = wanted;
        this.anybodyBelowTop = topology.nodes().size() > 1;
        this.submitted = submitted;
    }

    void take(SubtaskLocated located) {
        // Of several sources the one with the most subtasks has one beside each of the tree's.
        reported = Math.max(reported, located.parallelism());
        if (wanted) {
            nodes.put(located.subtask(), located.node());
        }
    }

    /** Whether all have spoken, or nobody has to. */
    boolean known() {
        return !wanted || reported > 0 && nodes.size() >= reported;
    }

    /**
     * Of the tree's levels. A source over a broker has as many subtasks, but no more than there are
     * lanes; so where the tree has more than that, this is a guess, and shards may be dealt out
     * less evenly.
     */
    int parallelism() {
        boolean asSubmitted = reported == 0 || reported == Math.min(submitted, Topics.LANES);
        return asSubmitted ? submitted : reported;
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
                            parallelism()));
        }
        return affinities;
    }
}
