// SPDX-License-Identifier: Apache-2.0

package io.tributary.job.cluster;

import io.tributary.job.JobEntrypoint;
import io.tributary.job.config.JobModel;
import io.tributary.job.config.JobSpec;
import io.tributary.job.graph.WorkDirectory;
import java.io.IOException;
import java.nio.file.FileSystem;
import java.nio.file.FileSystems;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Collectors;

/**
 * Hands jobs to a cluster.
 *
 * @param rest the cluster
 * @param jar the job's jar
 */
public record Submission(FlinkRest rest, Path jar) {

    /**
     * Uploads the jar and runs it.
     *
     * @param spec the job
     * @param config the file that describes it
     * @param savepoint what it goes on from
     * @return Flink's id of the job
     * @throws IllegalArgumentException when a job of that name runs already
     * @throws FlinkRestException when the job rejects it, with the job's reason
     */
    public String run(JobSpec spec, Path config, Optional<String> savepoint) throws IOException {
        requireFree(spec);
        if (savepoint.isPresent()) {
            SavepointCheck.requireRestorable(savepoint.get(), spec.jobModels(), spec.schemes());
        }
        try (WorkDirectory work = WorkDirectory.create("submit")) {
            Path bundle = work.path().resolve(spec.name() + ".jar");
            bundle(spec, config, bundle);
            String uploaded = rest.upload(bundle);
            try {
                return rest.run(
                        uploaded,
                        List.of(
                                "--bundled",
                                "--directory",
                                config.toAbsolutePath().getParent().toString()),
                        savepoint);
            } finally {
                rest.delete(uploaded);
            }
        }
    }

    /** Trainers know models by name, so a name belongs to one job, and to one model in it. */
    private void requireFree(JobSpec spec) {
        Set<String> names =
                spec.jobModels().stream().map(JobModel::job).collect(Collectors.toSet());
        names.add(spec.name());
        for (FlinkRest.Job other : rest.jobs()) {
            if (!other.live()) {
                continue;
            }
            List<String> models = JobModel.names(rest.parameters(other.id()));
            Optional<String> taken =
                    names.stream().filter(name -> has(other, models, name)).findFirst();
            if (taken.isPresent()) {
                String name = taken.get();
                throw new IllegalArgumentException(
                        "a job named '%s' runs already (%s, %s%s); topics and regions belong to a name, so cancel it or choose another"
                                .formatted(
                                        name,
                                        other.id(),
                                        other.state(),
                                        name.equals(other.name())
                                                ? ""
                                                : ", a model of '%s'".formatted(other.name())));
            }
        }
    }

    /**
     * Whether a job has a name, or a model of it. While it waits for slots, Flink may not say what
     * the job has said of its models; then each name that one could have is taken.
     */
    private static boolean has(FlinkRest.Job other, List<String> models, String name) {
        return name.equals(other.name())
                || models.contains(name)
                || models.isEmpty() && name.startsWith(other.name() + ".");
    }

    /**
     * Puts the job's file into a copy of the jar, because a file of the submitter is not on the job
     * manager, and arguments are shown in Flink's UI, which a password must not be. A jar of the
     * submitter's goes into the directory {@code lib/}, which Flink puts on the job's class path.
     */
    private void bundle(JobSpec spec, Path config, Path bundle) throws IOException {
        Files.copy(jar, bundle);
        try (FileSystem files = FileSystems.newFileSystem(bundle)) {
            Files.copy(config, files.getPath(JobEntrypoint.BUNDLED));
            if (spec.algorithmJar().isPresent()) {
                Files.createDirectories(files.getPath("lib"));
                Files.copy(spec.algorithmJar().get(), files.getPath("lib/algorithm.jar"));
            }
        }
    }
}
