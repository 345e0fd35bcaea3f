// SPDX-License-Identifier: Apache-2.0

package io.tributary.job.cluster;

import io.tributary.job.config.JobSpec;
import java.io.IOException;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;

/**
 * Checkpoints that a job has left. Which of its submissions came last is written down beside them,
 * because the times of files say when somebody copied them, and clocks are set back.
 */
public final class RetainedCheckpoints {

    private static final String SUBMISSIONS = "submissions";
    private static final String FILES = "file:";

    private RetainedCheckpoints() {}

    /** Notes that Flink runs a job under an id from now on; only where checkpoints are files. */
    public static void note(JobSpec spec, String id) throws IOException {
        if (spec.checkpoints().startsWith(FILES)) {
            Path directory = Files.createDirectories(directory(spec));
            Files.writeString(
                    directory.resolve(SUBMISSIONS),
                    id + "\n",
                    StandardOpenOption.CREATE,
                    StandardOpenOption.APPEND);
        }
    }

    private static Path directory(JobSpec spec) {
        return Path.of(URI.create(spec.checkpoints())).resolve(spec.name());
    }

    /** The newest complete checkpoint of a job, whichever of its submissions made it. */
    public static Optional<String> newest(JobSpec spec) throws IOException {
        if (!spec.checkpoints().startsWith(FILES)) {
            throw new IllegalArgumentException(
                    "--from-latest looks into files only, checkpoints are in %s; find the newest chk-… there and give it to --from-savepoint"
                            .formatted(spec.checkpoints()));
        }
        Path directory = directory(spec);
        if (!Files.exists(directory.resolve(SUBMISSIONS))) {
            return Optional.empty();
        }
        List<String> submissions =
                new ArrayList<>(Files.readAllLines(directory.resolve(SUBMISSIONS)));
        Collections.reverse(submissions);
        for (String id : submissions) {
            Optional<Path> newest = newest(directory.resolve(id));
            if (newest.isPresent()) {
                return newest.map(Path::toString);
            }
        }
        return Optional.empty();
    }

    private static Optional<Path> newest(Path submission) throws IOException {
        if (!Files.isDirectory(submission)) {
            return Optional.empty();
        }
        try (Stream<Path> checkpoints = Files.list(submission)) {
            return checkpoints
                    .filter(c -> c.getFileName().toString().matches("chk-[0-9]+"))
                    .filter(c -> Files.exists(c.resolve("_metadata")))
                    .max(Comparator.comparingLong(RetainedCheckpoints::number));
        }
    }

    private static long number(Path checkpoint) {
        return Long.parseLong(checkpoint.getFileName().toString().substring("chk-".length()));
    }
}
