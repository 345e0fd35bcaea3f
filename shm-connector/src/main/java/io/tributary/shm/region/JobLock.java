// SPDX-License-Identifier: Apache-2.0

package io.tributary.shm.region;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.HashSet;
import java.util.Optional;
import java.util.Set;

/**
 * Makes sure that one job of a name runs on a host. It is a lock on a file, so it ends with its
 * process, however that ends. Thread-safe.
 */
public final class JobLock implements AutoCloseable {

    private static final long PAUSE_MILLIS = 100;

    /** Longer than Flink takes by default to end the tasks of a job manager that died. */
    private static final Duration PATIENCE = Duration.ofSeconds(70);

    /** Longer than whoever takes the lock waits for it. */
    private static final Duration HOLDER_PATIENCE = Duration.ofSeconds(90);

    /** Closing any descriptor of a file ends all locks of the process on it, so it has one. */
    private static final Set<Path> HELD_HERE = new HashSet<>();

    private final Path file;
    private final FileChannel channel;

    private JobLock(Path file, FileChannel channel) {
        this.file = file;
        this.channel = channel;
    }

    /**
     * Who has the lock.
     *
     * @param run the submission of the job
     * @param owner its process
     */
    public record Holder(String run, Owner owner) {}

    /**
     * Takes the lock. A run that has lost its job manager goes on for as long as it takes to
     * notice, and has to be waited for.
     *
     * @param root the region directory
     * @param run who takes it
     * @return empty when another has it all the while
     */
    public static Optional<JobLock> acquire(Path root, String job, String run)
            throws InterruptedException {
        Path directory = JobDirectory.of(root, job).path();
        Path file = RegionDirectory.create(directory).resolve("run.lock");
        long end = System.nanoTime() + PATIENCE.toNanos();
        Optional<JobLock> lock = tryAcquire(file);
        while (lock.isEmpty() && System.nanoTime() < end) {
            Thread.sleep(PAUSE_MILLIS);
            lock = tryAcquire(file);
        }
        lock.ifPresent(
                ignored ->
                        JobDirectory.replace(holderFile(root, job), new Holder(run, Owner.self())));
        return lock;
    }

    private static Optional<JobLock> tryAcquire(Path file) {
        synchronized (HELD_HERE) {
            if (HELD_HERE.contains(file)) {
                return Optional.empty();
            }
            try {
                FileChannel channel =
                        FileChannel.open(file, StandardOpenOption.CREATE, StandardOpenOption.WRITE);
                FileLock lock = channel.tryLock();
                if (lock == null) {
                    channel.close();
                    return Optional.empty();
                }
                HELD_HERE.add(file);
                return Optional.of(new JobLock(file, channel));
            } catch (IOException e) {
                throw new UncheckedIOException(file + " cannot be locked", e);
            }
        }
    }

    private static Path holderFile(Path root, String job) {
        return JobDirectory.of(root, job).path().resolve("run.json");
    }

    /** Who has the lock, or had it last. */
    public static Optional<Holder> holder(Path root, String job) {
        Path file = holderFile(root, job);
        return Files.exists(file) ? JobDirectory.read(file, Holder.class) : Optional.empty();
    }

    /**
     * Waits until a run has the lock: before that, what lies in the directory may be another's.
     *
     * @throws IllegalStateException when it does not get it in time
     */
    public static void awaitHolder(Path root, String job, String run) {
        long end = System.nanoTime() + HOLDER_PATIENCE.toNanos();
        try {
            while (holder(root, job).filter(h -> h.run().equals(run)).isEmpty()) {
                if (System.nanoTime() > end) {
                    throw new IllegalStateException(
                            "a job named '%s' runs already on this host: %s"
                                    .formatted(job, holder(root, job)));
                }
                Thread.sleep(PAUSE_MILLIS);
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException("interrupted while waiting for the job's lock", e);
        }
    }

    @Override
    public void close() {
        synchronized (HELD_HERE) {
            try {
                channel.close();
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            } finally {
                HELD_HERE.remove(file);
            }
        }
    }
}
