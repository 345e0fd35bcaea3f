// SPDX-License-Identifier: Apache-2.0

package io.tributary.trainer;

import io.tributary.memory.region.JobDirectory;
import io.tributary.memory.region.OwnedRegion;
import io.tributary.memory.region.RegionDirectory;
import io.tributary.memory.region.RoomRequest;
import io.tributary.protocol.RejectReason;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.UUID;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.Function;
import java.util.function.Supplier;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The regions that a trainer writes its updates into. Those that are free again are used again,
 * since fresh memory is slow, or given up where others wait for room. Thread-safe.
 */
final class UpdateRegions implements AutoCloseable {

    private static final Logger LOG = LoggerFactory.getLogger(UpdateRegions.class);
    private static final long PAUSE_MILLIS = 100;
    private static final long COLLECT_NANOS = 2_000_000_000L;
    private static final AtomicLong COLLECTED = new AtomicLong(System.nanoTime());

    private final Supplier<RegionDirectory> directory;
    private final Function<UUID, String> names;
    private final Duration patience;
    private final Optional<JobDirectory> job;
    private final List<Owned> all = new ArrayList<>();

    /**
     * @param directory where they are made, with the quota of now
     * @param names their names
     * @param patience time to wait for room
     * @param job with whose other processes the room is shared; empty where it is not
     */
    UpdateRegions(
            Supplier<RegionDirectory> directory,
            Function<UUID, String> names,
            Duration patience,
            Optional<JobDirectory> job) {
        this.job = job;
        this.directory = directory;
        this.names = names;
        this.patience = patience;
    }

    /** Regions below a trainer's own directory, as many as it needs. */
    static UpdateRegions in(Path directory) {
        RegionDirectory updates = new RegionDirectory(directory.resolve("updates"), Long.MAX_VALUE);
        return new UpdateRegions(() -> updates, UUID::toString, Duration.ZERO, Optional.empty());
    }

    /** A region in use or free. */
    static final class Owned {

        private final UUID id;
        private final OwnedRegion region;
        private boolean free;
        private boolean answered;

        Owned(UUID id, OwnedRegion region) {
            this.id = id;
            this.region = region;
        }

        UUID id() {
            return id;
        }

        OwnedRegion region() {
            return region;
        }

        /** It is not needed any more as soon as its other user releases it. */
        void answered() {
            answered = true;
        }

        /** Whether it is kept only because fresh memory is slow. */
        private boolean spare() {
            return free || answered && region.released();
        }

        /** It is not needed any more, and nobody else has it. */
        void free() {
            free = true;
        }
    }

    /**
     * A region for an update, in WRITING.
     *
     * @throws TrainerException when there is no room for it within the patience, or never
     */
    Owned take(long length) {
        if (length > directory.get().largestPayload()) {
            throw noRoom(length, "the quota has no room for it");
        }
        try {
            Optional<Owned> taken = find(length);
            return taken.isPresent() ? taken.get() : await(length);
        } catch (IOException e) {
            throw new UncheckedIOException("an update cannot be made", e);
        }
    }

    private synchronized Optional<Owned> find(long length) throws IOException {
        Optional<Owned> taken = reuse(length);
        return taken.isPresent() ? taken : make(length);
    }

    private Owned await(long length) throws IOException {
        long end = System.nanoTime() + patience.toNanos();
        if (!patience.isZero()) {
            LOG.warn(
                    "no room for an update of {} bytes: {} of at most {} bytes are in use; waiting",
                    length,
                    directory.get().usedBytes(),
                    directory.get().largestPayload());
        }
        Optional<RoomRequest> request = job.map(RoomRequest::new);
        try {
            Optional<Owned> taken = find(length);
            while (taken.isEmpty()) {
                if (System.nanoTime() > end) {
                    throw noRoom(length, "none was free within " + patience);
                }
                Thread.sleep(PAUSE_MILLIS);
                request.ifPresent(RoomRequest::repeat);
                taken = find(length);
            }
            return taken.get();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException("interrupted while waiting for room", e);
        } finally {
            request.ifPresent(RoomRequest::close);
        }
    }

    private TrainerException noRoom(long length, String why) {
        return new TrainerException(
                RejectReason.TOO_LARGE,
                "no room for an update of %d bytes: %s; %d of at most %d bytes are in use; raise regions.quota, or give the region directory's file system more"
                        .formatted(
                                length,
                                why,
                                directory.get().usedBytes(),
                                directory.get().largestPayload()));
    }

    /** Gives up what is kept only because fresh memory is slow, if somebody waits for room. */
    void makeRoom() {
        try {
            if (job.filter(RoomRequest::pending).isPresent()) {
                giveUpSpare();
                collectGarbage();
            }
        } catch (RuntimeException e) {
            // A favour to others must not end this trainer.
            LOG.warn("it cannot be seen whether others wait for room: {}", e.getMessage());
        }
    }

    /**
     * Something is sent once more, so it is not spare.
     *
     * @throws IllegalStateException when it has been given up already
     */
    synchronized void keep(Owned owned) {
        if (owned.region.closed()) {
            throw new IllegalStateException(
                    "the update was answered, and its memory has been given to others since; begin a new one");
        }
        owned.answered = false;
    }

    /**
     * Models that the job has removed take memory until those who looked at them are found not to
     * do so any more. All trainers of a process do this together, now and then.
     */
    static void collectGarbage() {
        long now = System.nanoTime();
        long before = COLLECTED.get();
        if (now - before > COLLECT_NANOS && COLLECTED.compareAndSet(before, now)) {
            System.gc();
        }
    }

    private synchronized void giveUpSpare() {
        for (Owned owned : List.copyOf(all)) {
            if (owned.spare()) {
                all.remove(owned);
                owned.region.giveUp();
            }
        }
    }

    private Optional<Owned> reuse(long length) {
        for (Owned owned : List.copyOf(all)) {
            // One that is still being written was never sent, and is given up.
            if (!owned.free && !owned.region.released() && !owned.region.writing()) {
                continue;
            }
            if (owned.region.capacity() == length) {
                owned.free = false;
                owned.answered = false;
                owned.region.reuse(length);
                return Optional.of(owned);
            }
            // The model has changed its size; nobody will fill this one again.
            all.remove(owned);
            owned.region.delete();
        }
        return Optional.empty();
    }

    private Optional<Owned> make(long length) throws IOException {
        UUID id = UUID.randomUUID();
        Optional<Owned> made =
                directory.get().lend(names.apply(id), length).map(r -> new Owned(id, r));
        made.ifPresent(all::add);
        return made;
    }

    /** Deletes what is free, and leaves to the job what it still has to fold. */
    @Override
    public synchronized void close() {
        for (Owned owned : all) {
            if (owned.free) {
                owned.region.delete();
            } else {
                owned.region.abandon();
            }
        }
        all.clear();
    }
}
