// SPDX-License-Identifier: Apache-2.0

package io.tributary.testbed.chaos;

import io.tributary.job.config.JobSpec;
import io.tributary.job.graph.TreeSchemas;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/** The job of a chaos run: three levels over three groups. */
final class ChaosJob {

    private static final int LEAVES = 2;

    private ChaosJob() {}

    /** Writes all that {@code submit} needs, and reads it. */
    static JobSpec write(
            Path work, String regions, String uri, int trainers, int parallelism, String algorithm)
            throws IOException {
        Files.write(work.resolve("schema.json"), TreeSchemas.json(4, Chaos.GROUPS, LEAVES));
        Files.write(work.resolve("model-0.safetensors"), ChaosUpdates.initial().array());
        Files.writeString(
                Chaos.config(work),
                """
                job.name: chaos
                topology: schema.json
                algorithm: %s
                parallelism: %d
                rounds:
                  count: 1000000
                  minimum-trainers: %d
                  quorum: 1
                  deadline: 60 s
                  heartbeat-timeout: 4 s
                model:
                  initial: model-0.safetensors
                  directory: models
                regions:
                  quota: 256 mb
                  %s
                checkpoints:
                  interval: 500 ms
                  directory: checkpoints
                transports: ["%s"]
                """
                        .formatted(algorithm, parallelism, trainers, regions, uri));
        return JobSpec.read(Chaos.config(work));
    }
}
