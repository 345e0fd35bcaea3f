// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.coordinator;

import io.tributary.protocol.topology.Topology;
import java.util.List;
import java.util.Map;
import org.apache.flink.runtime.execution.SuppressRestartsException;

/**
 * What must not change of a topology from a savepoint to the job that is restored from it: its
 * levels and its groups. How many aggregators a group has may.
 *
 * @param levels role names, the trainer role first
 * @param groups the groups of each channel
 */
record TreeShape(List<String> levels, Map<String, List<String>> groups) {

    static TreeShape of(Topology topology) {
        return new TreeShape(topology.levels(), topology.groups());
    }

    /**
     * @throws SuppressRestartsException with what differs; trying again would not help
     */
    void requireSame(TreeShape now) {
        if (!levels.equals(now.levels)) {
            throw rejected("levels", levels, now.levels);
        }
        if (!groups.equals(now.groups)) {
            throw rejected("groups", groups, now.groups);
        }
    }

    private static SuppressRestartsException rejected(String what, Object before, Object now) {
        return new SuppressRestartsException(
                new IllegalArgumentException(
                        "the savepoint is of another topology: its %s are %s, this job's are %s; submit with the savepoint's topology, or without the savepoint"
                                .formatted(what, before, now)));
    }
}
