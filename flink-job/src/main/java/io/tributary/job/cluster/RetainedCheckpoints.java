// SPDX-License-Identifier: Apache-2.0

package io.tributary.job.cluster;

import io.tributary.job.config.JobSpec;
import java.io.IOException;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.Optional;
import java.util.stream.Stream;

/** Checkpoints that a job has left. */
public final class RetainedCheckpoints {

    private RetainedCheckpoints() {}

    /** The newest complete checkpoint of a job, whichever of its runs made it. */
    public static Optional<String> newest(JobSpec spec) throws IOException {
        if (!spec.checkpoints().startsWith("file:")) {
            throw new IllegalArgumentException(
                    "--from-latest looks into files only, checkpoints are in %s; find the newest chk-… there and give it to --from-savepoint"
                            .formatted(spec.checkpoints()));
        }
        Path directory = Path.of(URI.create(spec.checkpoints())).resolve(spec.name());
        if (!Files.exists(directory)) {
            return Optional.empty();
        }
        try (Stream<Path> files = Files.walk(directory, 3)) {
            return files.filter(f -> f.endsWith("_metadata"))
                    .max(Comparator.comparing(f -> f.toFile().lastModified()))
                    .map(f -> f.getParent().toString());
        }
    }
}
