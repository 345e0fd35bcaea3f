// SPDX-License-Identifier: Apache-2.0

package io.tributary.job.cluster;

import io.tributary.job.config.JobModel;
import io.tributary.job.graph.AggregationGraph;
import io.tributary.job.graph.FederationJob;
import java.io.DataInputStream;
import java.io.IOException;
import java.util.Collection;
import java.util.List;
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
     * Looks whether a job can be restored from a savepoint: it has the same models, levels and
     * transports. A transport that is left out has state that nobody takes; one that is new has not
     * been told of the model that is newest.
     *
     * @param models of the job
     * @param schemes of its transports
     * @throws IllegalArgumentException when it cannot, with what differs
     */
    public static void requireRestorable(
            String savepoint, List<JobModel> models, Set<String> schemes) {
        Set<String> uids = uids(savepoint);
        Set<String> levels = of(uids, AggregationGraph.LEVEL_UID);
        Set<String> wanted =
                of(
                        models.stream()
                                .flatMap(
                                        its ->
                                                AggregationGraph.uids(its.topology(), its.tag())
                                                        .stream())
                                .toList(),
                        AggregationGraph.LEVEL_UID);
        if (!levels.isEmpty() && !levels.equals(wanted)) {
            throw new IllegalArgumentException(
                    "savepoint %s is of another topology: it has levels %s, the job has %s; submit with the savepoint's topology, or without the savepoint"
                            .formatted(savepoint, levels, wanted));
        }
        Set<String> transports = of(uids, FederationJob.UPDATES_UID);
        Set<String> sources =
                models.stream()
                        .flatMap(
                                its ->
                                        schemes.stream()
                                                .map(s -> AggregationGraph.uid(s, its.tag())))
                        .collect(Collectors.toCollection(TreeSet::new));
        if (!transports.isEmpty() && !sources.equals(transports)) {
            throw new IllegalArgumentException(
                    "savepoint %s has transports %s, the job has %s; submit with the savepoint's transports, or without the savepoint"
                            .formatted(savepoint, transports, sources));
        }
    }

    /** What follows a prefix, of those that have it. */
    private static Set<String> of(Collection<String> uids, String prefix) {
        return uids.stream()
                .filter(uid -> uid.startsWith(prefix))
                .map(uid -> uid.substring(prefix.length()))
                .collect(Collectors.toCollection(TreeSet::new));
    }

    private static Set<String> uids(String savepoint) {
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
                        .collect(Collectors.toCollection(TreeSet::new));
            }
        } catch (IOException e) {
            throw new IllegalArgumentException(
                    "savepoint %s cannot be read: %s".formatted(savepoint, e.getMessage()), e);
        }
    }
}
