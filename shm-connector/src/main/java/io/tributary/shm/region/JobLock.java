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

    /**
     * Waits until what lies in a host's directory is a run's own. On the only host that is when it
     * has the lock; where there are many, one of them has it, and on the others it is enough that
     * nobody else has.
     *
     * @throws IllegalStateException when that does not come in time
     */
    public static void await(Path root, String job, String run, boolean manyHosts) {
        long end = System.nanoTime() + HOLDER_PATIENCE.toNanos();
        try {
            while (holder(root, job).filter(h -> h.run().equals(run)).isEmpty()
                    && !(manyHosts && free(root, job))) {
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

    private static boolean free(Path root, String job) {
        Path directory = JobDirectory.of(root, job).path();
        Optional<JobLock> lock = tryAcquire(RegionDirectory.create(directory).resolve("run.lock"));
        lock.ifPresent(JobLock::close);
        return lock.isPresent();
    }

    /**
     * Takes a lock on a file of the job's directory, for one of several who could all do something
     * on this host.
     *
     * @return empty when another has it
     */
    public static Optional<JobLock> one(Path directory, String what) {
        return tryAcquire(RegionDirectory.create(directory).resolve(what + ".lock"));
    }

    private static Path holderFile(Path root, String job) {
        return JobDirectory.of(root, job).path().resolve("run.json");
    }

    /** Who has the lock, or had it last. */
    public static Optional<Holder> holder(Path root, String job) {
        Path file = holderFile(root, job);
        return Files.exists(file) ? JobDirectory.read(file, Holder.class) : Optional.empty();
    }

    @Override
    public void close() {
        synchronized (HELD_HERE) {
            if (!channel.isOpen()) {
                // By now another may hold it.
                return;
            }
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
