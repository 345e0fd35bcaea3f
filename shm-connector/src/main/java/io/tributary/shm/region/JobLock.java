// SPDX-License-Identifier: Apache-2.0

package io.tributary.shm.region;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.channels.OverlappingFileLockException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.Optional;

/**
 * Makes sure that one job of a name runs on a host. It is a lock on a file, so it ends with its
 * process, however that ends. Thread-safe.
 */
public final class JobLock implements AutoCloseable {

    private static final long PAUSE_MILLIS = 100;

    private final FileChannel channel;

    private JobLock(FileChannel channel) {
        this.channel = channel;
    }

    /**
     * Takes the lock. A run that has lost its job manager goes on for as long as it takes to
     * notice, and has to be waited for.
     *
     * @param root the region directory
     * @param run who takes it
     * @return empty when another has it all the while
     */
    public static Optional<JobLock> acquire(Path root, String job, String run, Duration patience)
            throws InterruptedException {
        Path file = file(root, job);
        RegionDirectory.create(file.getParent());
        long end = System.nanoTime() + patience.toNanos();
        try {
            FileChannel channel =
                    FileChannel.open(file, StandardOpenOption.CREATE, StandardOpenOption.WRITE);
            while (tryLock(channel).isEmpty()) {
                if (System.nanoTime() > end) {
                    channel.close();
                    return Optional.empty();
                }
                Thread.sleep(PAUSE_MILLIS);
            }
            channel.truncate(0);
            channel.write(
                    ByteBuffer.wrap(
                            "run %s in process %d"
                                    .formatted(run, ProcessHandle.current().pid())
                                    .getBytes(StandardCharsets.UTF_8)));
            return Optional.of(new JobLock(channel));
        } catch (IOException e) {
            throw new UncheckedIOException(file + " cannot be locked", e);
        }
    }

    private static Optional<FileLock> tryLock(FileChannel channel) throws IOException {
        try {
            return Optional.ofNullable(channel.tryLock());
        } catch (OverlappingFileLockException e) {
            // Somebody else in this process.
            return Optional.empty();
        }
    }

    private static Path file(Path root, String job) {
        return JobDirectory.of(root, job).path().resolve("run.lock");
    }

    /** Who has the lock, or had it last, for people. */
    public static String holder(Path root, String job) {
        try {
            return Files.readString(file(root, job));
        } catch (IOException e) {
            return "nobody";
        }
    }

    @Override
    public void close() {
        try {
            channel.close();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
