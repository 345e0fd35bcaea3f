// SPDX-License-Identifier: Apache-2.0

package io.tributary.memory.region;

import io.tributary.memory.os.OfdLock;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Optional;

/**
 * Makes sure that one job of a name runs on a host. It is a lock on a file, so it ends with its
 * process, however that ends. Thread-safe.
 */
public final class JobLock implements AutoCloseable {

    private static final long PAUSE_MILLIS = 100;

    /** Longer than Flink takes by default to end the tasks of a job manager that died. */
    private static final Duration PATIENCE = Duration.ofSeconds(70);

    /** Longer than a process waits for the lock. */
    private static final Duration HOLDER_PATIENCE = Duration.ofSeconds(90);

    private final OfdLock lock;

    private JobLock(OfdLock lock) {
        this.lock = lock;
    }

    /**
     * The owner of the lock.
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
        try {
            lock.ifPresent(
                    ignored ->
                            JobDirectory.replace(
                                    holderFile(root, job), new Holder(run, Owner.self(directory))));
            return lock;
        } catch (RuntimeException e) {
            // A task that is cancelled in this moment; its successor is to have the lock.
            lock.ifPresent(JobLock::close);
            throw e;
        }
    }

    private static Optional<JobLock> tryAcquire(Path file) {
        try {
            return OfdLock.tryLock(file, TrustedDirectory.mode(file)).map(JobLock::new);
        } catch (IOException e) {
            throw new UncheckedIOException(file + " cannot be locked", e);
        }
    }

    /**
     * Waits until a host's directory belongs to a run. On the only host that is when it has the
     * lock; where there are many, one of them has it, and on the others it is enough that nobody
     * else has.
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
        Path file = JobDirectory.of(root, job).path().resolve("run.lock");
        try {
            return !OfdLock.held(file);
        } catch (IOException e) {
            throw new UncheckedIOException(file + " cannot be asked for its lock", e);
        }
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

    /** The owner of the lock, or its last one. */
    public static Optional<Holder> holder(Path root, String job) {
        Path file = holderFile(root, job);
        return Files.exists(file) ? JobDirectory.readSmall(file, Holder.class) : Optional.empty();
    }

    @Override
    public void close() {
        lock.close();
    }
}
