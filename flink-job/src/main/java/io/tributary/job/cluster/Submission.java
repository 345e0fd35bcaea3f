// SPDX-License-Identifier: Apache-2.0

package io.tributary.job.cluster;

import io.tributary.job.config.JobSpec;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;

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
     * @throws FlinkRestException when the job refuses, with its reason
     */
    public String run(JobSpec spec, Path config, Optional<String> savepoint) throws IOException {
        for (FlinkRest.Job other : rest.jobs()) {
            if (other.live() && other.name().equals(spec.name())) {
                throw new IllegalArgumentException(
                        "a job named '%s' runs already (%s, %s); topics and regions belong to a name, so cancel it or choose another"
                                .formatted(spec.name(), other.id(), other.state()));
            }
        }
        if (savepoint.isPresent()) {
            SavepointCheck.requireSameLevels(savepoint.get(), spec.topology());
        }
        String uploaded = rest.upload(jar);
        try {
            return rest.run(
                    uploaded,
                    List.of(
                            "--yaml",
                            Files.readString(config),
                            "--directory",
                            config.toAbsolutePath().getParent().toString()),
                    savepoint);
        } finally {
            rest.delete(uploaded);
        }
    }
}
