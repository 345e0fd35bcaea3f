// SPDX-License-Identifier: Apache-2.0

package io.tributary.job.cluster;

import io.tributary.job.config.JobSpec;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import org.apache.flink.core.fs.FSDataInputStream;
import org.apache.flink.core.fs.FSDataOutputStream;
import org.apache.flink.core.fs.FileStatus;
import org.apache.flink.core.fs.FileSystem;
import org.apache.flink.core.fs.Path;

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
     * Notes that Flink runs a job under an id from now on.
     *
     * @param from the checkpoint or savepoint that it goes on from
     */
    public static void note(JobSpec spec, String id, Optional<String> from) throws IOException {
        String line = id + from.map(path -> FROM + path).orElse("") + "\n";
        if (spec.checkpoints().startsWith(FILES)) {
            java.nio.file.Path directory = java.nio.file.Path.of(directory(spec).getPath());
            Files.createDirectories(directory);
            Files.writeString(
                    directory.resolve(SUBMISSIONS),
                    line,
                    StandardOpenOption.CREATE,
                    StandardOpenOption.APPEND);
            return;
        }
        // Nothing can be appended to an object.
        byte[] all = (read(spec) + line).getBytes(StandardCharsets.UTF_8);
        Path file = new Path(directory(spec), SUBMISSIONS);
        try (FSDataOutputStream out =
                file.getFileSystem().create(file, FileSystem.WriteMode.OVERWRITE)) {
            out.write(all);
        }
    }

    private static Path directory(JobSpec spec) {
        String all = spec.checkpoints();
        // A file's URI has its blanks and umlauts encoded.
        return new Path(
                all.startsWith(FILES) ? new Path(URI.create(all)) : new Path(all), spec.name());
    }

    private static String read(JobSpec spec) throws IOException {
        Path file = new Path(directory(spec), SUBMISSIONS);
        try (FSDataInputStream in = file.getFileSystem().open(file)) {
            return new String(in.readAllBytes(), StandardCharsets.UTF_8);
        } catch (FileNotFoundException e) {
            return "";
        }
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
        Optional<String> own = newest(new Path(directory(spec), last.id()));
        if (own.isPresent() || last.from().isPresent()) {
            return own.or(last::from);
        }
        for (Submitted earlier : all) {
            Optional<String> newest = newest(new Path(directory(spec), earlier.id()));
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
        return read(spec).lines().map(Submitted::parse).toList();
    }

    private static Optional<String> newest(Path submission) throws IOException {
        FileSystem files = submission.getFileSystem();
        FileStatus[] all;
        try {
            all = files.listStatus(submission);
        } catch (FileNotFoundException e) {
            return Optional.empty();
        }
        List<Path> complete = new ArrayList<>();
        for (FileStatus status : all == null ? new FileStatus[0] : all) {
            Path checkpoint = status.getPath();
            if (checkpoint.getName().matches("chk-[0-9]+")
                    && files.exists(new Path(checkpoint, "_metadata"))) {
                complete.add(checkpoint);
            }
        }
        return complete.stream()
                .max(Comparator.comparingLong(RetainedCheckpoints::number))
                .map(RetainedCheckpoints::text);
    }

    /** As people write it: a file without its scheme. */
    private static String text(Path checkpoint) {
        URI uri = checkpoint.toUri();
        return uri.getScheme() == null || uri.getScheme().equals("file")
                ? uri.getPath()
                : uri.toString();
    }

    private static long number(Path checkpoint) {
        return Long.parseLong(checkpoint.getName().substring("chk-".length()));
    }
}
