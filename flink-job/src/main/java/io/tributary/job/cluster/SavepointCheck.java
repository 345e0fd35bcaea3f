// SPDX-License-Identifier: Apache-2.0

package io.tributary.job.cluster;

import io.tributary.job.graph.AggregationGraph;
import io.tributary.protocol.topology.Topology;
import java.io.DataInputStream;
import java.io.IOException;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;
import org.apache.flink.runtime.checkpoint.Checkpoints;
import org.apache.flink.runtime.checkpoint.OperatorState;
import org.apache.flink.runtime.state.CompletedCheckpointStorageLocation;
import org.apache.flink.runtime.state.filesystem.AbstractFsCheckpointStorageAccess;

/** Looks into a savepoint before a job is restored from it. */
public final class SavepointCheck {

    private SavepointCheck() {}

    /**
     * @throws IllegalArgumentException when it is of a topology with other levels, with what
     *     differs
     */
    public static void requireSameLevels(String savepoint, Topology topology) {
        Set<String> there = levels(savepoint);
        Set<String> wanted = new TreeSet<>(AggregationGraph.uids(topology));
        if (!there.isEmpty() && !there.equals(wanted)) {
            throw new IllegalArgumentException(
                    "savepoint %s is of another topology: it has %s, the job has %s; submit with the savepoint's topology, or without the savepoint"
                            .formatted(savepoint, there, wanted));
        }
    }

    private static Set<String> levels(String savepoint) {
        try {
            CompletedCheckpointStorageLocation location =
                    AbstractFsCheckpointStorageAccess.resolveCheckpointPointer(savepoint);
            try (DataInputStream in =
                    new DataInputStream(location.getMetadataHandle().openInputStream())) {
                return Checkpoints.loadCheckpointMetadata(
                                in, SavepointCheck.class.getClassLoader(), savepoint)
                        .getOperatorStates()
                        .stream()
                        .map(OperatorState::getOperatorUid)
                        .flatMap(Optional::stream)
                        .filter(uid -> uid.startsWith(AggregationGraph.LEVEL_UID))
                        .collect(Collectors.toCollection(TreeSet::new));
            }
        } catch (IOException e) {
            throw new IllegalArgumentException(
                    "savepoint %s cannot be read: %s".formatted(savepoint, e.getMessage()), e);
        }
    }
}
