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

    /** Stands between a submission and what it went on from. */
    private static final String FROM = " from ";

    private RetainedCheckpoints() {}

    /**
     * Notes that Flink runs a job under an id from now on; only where checkpoints are files.
     *
     * @param from the checkpoint or savepoint that it goes on from
     */
    public static void note(JobSpec spec, String id, Optional<String> from) throws IOException {
        if (spec.checkpoints().startsWith(FILES)) {
            Path directory = Files.createDirectories(directory(spec));
            Files.writeString(
                    directory.resolve(SUBMISSIONS),
                    id + from.map(path -> FROM + path).orElse("") + "\n",
                    StandardOpenOption.CREATE,
                    StandardOpenOption.APPEND);
        }
    }

    private static Path directory(JobSpec spec) {
        return Path.of(URI.create(spec.checkpoints())).resolve(spec.name());
    }

    /** The id of the job's last submission. */
    public static Optional<String> last(JobSpec spec) throws IOException {
        return submissions(spec).stream().reduce((earlier, last) -> last).map(Submitted::id);
    }

    /**
     * What a job's last submission left: its newest complete checkpoint or, where it has not made
     * one, what it went on from itself.
     *
     * @throws IllegalArgumentException when it left nothing, and earlier ones did: whoever wants to
     *     go back so far should say so
     */
    public static Optional<String> newest(JobSpec spec) throws IOException {
        List<Submitted> all = new ArrayList<>(submissions(spec));
        Collections.reverse(all);
        if (all.isEmpty()) {
            return Optional.empty();
        }
        Submitted last = all.get(0);
        Optional<String> own = newest(directory(spec).resolve(last.id())).map(Path::toString);
        if (own.isPresent() || last.from().isPresent()) {
            return own.or(last::from);
        }
        for (Submitted earlier : all) {
            Optional<Path> newest = newest(directory(spec).resolve(earlier.id()));
            if (newest.isPresent()) {
                throw new IllegalArgumentException(
                        "--from-latest: the last submission (%s) left no checkpoint: it has finished, or has not made one; an earlier one left %s, give that to --from-savepoint to go back to it"
                                .formatted(last.id(), newest.get()));
            }
        }
        return Optional.empty();
    }

    private record Submitted(String id, Optional<String> from) {

        static Submitted parse(String line) {
            String[] parts = line.split(FROM, 2);
            return new Submitted(
                    parts[0], parts.length == 1 ? Optional.empty() : Optional.of(parts[1]));
        }
    }

    /** All of them, the oldest first. */
    private static List<Submitted> submissions(JobSpec spec) throws IOException {
        if (!spec.checkpoints().startsWith(FILES)) {
            throw new IllegalArgumentException(
                    "--from-latest looks into files only, checkpoints are in %s; find the newest chk-… there and give it to --from-savepoint"
                            .formatted(spec.checkpoints()));
        }
        Path file = directory(spec).resolve(SUBMISSIONS);
        return Files.exists(file)
                ? Files.readAllLines(file).stream().map(Submitted::parse).toList()
                : List.of();
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
