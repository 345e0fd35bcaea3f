// SPDX-License-Identifier: Apache-2.0

package io.tributary.memory.region;

import io.tributary.memory.region.RegionLayout.State;
import io.tributary.protocol.message.PayloadRef;
import java.io.IOException;
import java.io.Serializable;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Regions for partial sums and shards of models, shared by all subtasks of a job in this process
 * and used again and again. When the last subtask has closed it, all are deleted: a reader that was
 * to read what is in them starts anew too. Thread-safe.
 */
public final class RegionPool implements AutoCloseable {

    private static final Logger LOG = LoggerFactory.getLogger(RegionPool.class);
    private static final Map<Path, RegionPool> SHARED = new HashMap<>();

    private final Path directory;
    private final RegionDirectory regions;
    private final Map<Path, OwnedRegion> all = new HashMap<>();
    private final Map<Long, Deque<OwnedRegion>> free = new HashMap<>();
    private int users;

    /**
     * Where a pool is.
     *
     * @param job the job's name
     * @param directory the region directory
     * @param quotaBytes bound for all regions of the job
     */
    public record Place(String job, String directory, long quotaBytes) implements Serializable {

        /**
         * The pool, to be closed by each who asks for it.
         *
         * @param maxUpdateBytes length of the largest update: room for two of them is left free, so
         *     that sums never keep out the updates that would complete them
         */
        public RegionPool open(long maxUpdateBytes) {
            JobDirectory files = JobDirectory.of(TrustedDirectory.of(directory), job);
            synchronized (SHARED) {
                RegionPool pool =
                        SHARED.computeIfAbsent(
                                files.path(),
                                path -> {
                                    MemoryLimit.shortage(job, quotaBytes).ifPresent(LOG::warn);
                                    return new RegionPool(files, quotaBytes, maxUpdateBytes);
                                });
                pool.users++;
                return pool;
            }
        }
    }

    private RegionPool(JobDirectory job, long quotaBytes, long maxUpdateBytes) {
        this.directory = RegionDirectory.create(job.path().resolve("partials"));
        this.regions =
                job.regions(quotaBytes).leaving(2 * (RegionLayout.PAYLOAD_OFFSET + maxUpdateBytes));
        RegionDirectory.reap(directory, Duration.ZERO);
    }

    /**
     * A region of this capacity in WRITING, with anything in it.
     *
     * @return empty when there is no room for it now
     */
    public synchronized Optional<OwnedRegion> take(long bytes) {
        if (free.getOrDefault(bytes, new ArrayDeque<>()).isEmpty()) {
            collectReleased();
        }
        Optional<OwnedRegion> taken =
                Optional.ofNullable(free.getOrDefault(bytes, new ArrayDeque<>()).poll());
        taken.ifPresent(region -> region.reuse(bytes));
        return taken.isPresent() ? taken : make(bytes);
    }

    private Optional<OwnedRegion> make(long bytes) {
        try {
            Optional<OwnedRegion> made = regions.own(RegionDirectory.unique("partials/sum"), bytes);
            made.ifPresent(region -> all.put(region.file(), region));
            return made;
        } catch (IOException e) {
            // As good as no room: the sum then goes another way.
            return Optional.empty();
        }
    }

    /**
     * Deletes the regions of a job's pool in this process that are free, for others need the room.
     *
     * @param room the job's regions
     * @return whether there were any
     */
    public static boolean trim(RegionDirectory room) {
        synchronized (SHARED) {
            RegionPool pool = SHARED.get(room.path());
            return pool != null && pool.deleteFree();
        }
    }

    private synchronized boolean deleteFree() {
        boolean any = free.values().stream().anyMatch(same -> !same.isEmpty());
        for (Deque<OwnedRegion> same : free.values()) {
            for (OwnedRegion region : same) {
                all.remove(region.file());
                region.delete();
            }
        }
        free.clear();
        return any;
    }

    /** Those that another process has released. */
    private void collectReleased() {
        all.values().stream().filter(OwnedRegion::released).forEach(this::addFree);
    }

    /** The region that holds a payload, if it is of this pool. */
    public synchronized Optional<OwnedRegion> find(PayloadRef payload) {
        return Optional.ofNullable(all.get(Path.of(payload.path())))
                .filter(region -> region.payload().generation() == payload.generation());
    }

    /**
     * Reads a payload, and gives its region back to its owner.
     *
     * @param reader given the payload's memory, which is its own only while it runs
     */
    public <E extends Exception> void consume(PayloadRef payload, Reader<E> reader) throws E {
        Optional<OwnedRegion> own = find(payload);
        if (own.isPresent()) {
            reader.read(own.get().memory());
            giveBack(own.get());
        } else {
            try (MappedFile mapped = MappedFile.open(payload)) {
                reader.read(mapped);
            }
            RegionDirectory.release(payload);
        }
    }

    /**
     * Reads memory.
     *
     * @param <E> what may go wrong
     */
    @FunctionalInterface
    public interface Reader<E extends Exception> {
        /** Reads it now. */
        void read(MappedFile memory) throws E;
    }

    /** Takes a region back that nobody reads any more. */
    public synchronized void giveBack(OwnedRegion region) {
        if (all.containsKey(region.file())) {
            region.become(State.WRITING);
            addFree(region);
        }
    }

    private void addFree(OwnedRegion region) {
        Deque<OwnedRegion> same =
                free.computeIfAbsent(region.capacity(), capacity -> new ArrayDeque<>());
        if (!same.contains(region)) {
            same.push(region);
        }
    }

    @Override
    public void close() {
        synchronized (SHARED) {
            users--;
            if (users == 0) {
                SHARED.values().remove(this);
                deleteAll();
            }
        }
    }

    private synchronized void deleteAll() {
        all.values().forEach(OwnedRegion::delete);
        all.clear();
        free.clear();
    }
}
