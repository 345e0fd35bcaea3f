// SPDX-License-Identifier: Apache-2.0

package io.tributary.job.graph;

import io.tributary.memory.region.JobDirectory;
import io.tributary.protocol.Json;
import io.tributary.protocol.message.ModelDescription;
import io.tributary.protocol.message.RoundStatus;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.Optional;
import java.util.function.Consumer;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Reads what a job adds to the files of its directory. */
final class JobDirectoryFollower {

    private static final Logger LOG = LoggerFactory.getLogger(JobDirectoryFollower.class);
    private static final long LOOK_MILLIS = 20;

    private JobDirectoryFollower() {}

    /** Reads on a thread of its own until closed. */
    static AutoCloseable start(JobDirectory files, JobListener listener) {
        // What is there already is of an earlier run of the job.
        LineReader status = new LineReader(files.status());
        LineReader models = new LineReader(files.modelLog());
        Thread reader = new Thread(() -> follow(status, models, listener), "job-follower");
        reader.setDaemon(true);
        reader.start();
        return reader::interrupt;
    }

    private static void follow(LineReader status, LineReader models, JobListener listener) {
        try {
            while (true) {
                status.read(line -> listener.status(Json.decode(line, RoundStatus.class)));
                models.read(line -> listener.model(Json.decode(line, ModelDescription.class)));
                Thread.sleep(LOOK_MILLIS);
            }
        } catch (InterruptedException e) {
            // Closed.
        } catch (IOException e) {
            LOG.error("the job's directory cannot be followed", e);
        }
    }

    /** Reads lines as they are added to a file, also when that is put aside for another. */
    private static final class LineReader {

        private final Path file;
        private Optional<Object> key;
        private long position;

        LineReader(Path file) {
            this.file = file;
            this.key = key(file);
            this.position = file.toFile().length();
        }

        private static Optional<Object> key(Path file) {
            try {
                return Optional.ofNullable(
                        Files.readAttributes(file, BasicFileAttributes.class).fileKey());
            } catch (IOException e) {
                return Optional.empty();
            }
        }

        void read(Consumer<byte[]> out) throws IOException {
            Optional<Object> now = key(file);
            if (now.isEmpty()) {
                return;
            }
            if (!now.equals(key)) {
                Path former = JobDirectory.former(file);
                if (key.isPresent() && key.equals(key(former))) {
                    rest(former, out);
                }
                key = now;
                position = 0;
            }
            rest(file, out);
        }

        private void rest(Path from, Consumer<byte[]> out) throws IOException {
            try (RandomAccessFile in = new RandomAccessFile(from.toFile(), "r")) {
                byte[] bytes = new byte[(int) Math.max(0, in.length() - position)];
                in.seek(position);
                in.readFully(bytes);
                String text = new String(bytes, StandardCharsets.UTF_8);
                int whole = text.lastIndexOf('\n') + 1;
                text.substring(0, whole)
                        .lines()
                        .forEach(line -> out.accept(line.getBytes(StandardCharsets.UTF_8)));
                position += text.substring(0, whole).getBytes(StandardCharsets.UTF_8).length;
            }
        }
    }
}
