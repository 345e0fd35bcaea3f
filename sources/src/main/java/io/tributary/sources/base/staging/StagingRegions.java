// SPDX-License-Identifier: Apache-2.0

package io.tributary.sources.base.staging;

import io.tributary.memory.region.JobDirectory;
import io.tributary.memory.region.OwnedRegion;
import io.tributary.memory.region.RegionDirectory;
import io.tributary.memory.region.RegionPool;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.UUID;

/**
 * The regions of one reader. Those that the job has released are used again, because memory that
 * has been touched is several times faster than fresh memory; while room is short they are given up
 * instead, as are free regions of sums. Not thread-safe.
 */
final class StagingRegions implements AutoCloseable {

    private final JobDirectory files;
    private final RegionDirectory directory;
    private final List<OwnedRegion> all = new ArrayList<>();
    private final List<OwnedRegion> free = new ArrayList<>();

    /**
     * @param files whose updates they are
     * @param directory the job's regions
     */
    StagingRegions(JobDirectory files, RegionDirectory directory) {
        this.files = files;
        this.directory = directory;
    }

    /** The longest update that can ever be staged, in bytes. */
    long largestPayload() {
        return directory.largestPayload();
    }

    /**
     * A region for an update.
     *
     * @return empty when there is no room for it now
     */
    Optional<OwnedRegion> take(int lane, long length) throws IOException {
        collect();
        for (OwnedRegion region : free) {
            if (region.capacity() == length && laneOf(region) == lane) {
                free.remove(region);
                region.reuse(length);
                return Optional.of(region);
            }
        }
        Optional<OwnedRegion> made = make(lane, length);
        // Both, without a short cut: one alone may not be enough.
        if (made.isEmpty() && giveUp() | RegionPool.trim(directory)) {
            made = make(lane, length);
        }
        made.ifPresent(all::add);
        return made;
    }

    private static int laneOf(OwnedRegion region) {
        String name = region.file().getFileName().toString();
        return Integer.parseInt(name.substring(0, name.indexOf('-')));
    }

    private Optional<OwnedRegion> make(int lane, long length) throws IOException {
        return directory.own(files.nameIn(lane, UUID.randomUUID()), length);
    }

    private void collect() {
        for (OwnedRegion region : all) {
            if (region.released() && !free.contains(region)) {
                free.add(region);
            }
        }
    }

    /** Whether another update of that length would find no room. */
    boolean full(long length) {
        collect();
        return free.isEmpty() && directory.usedBytes() + length > directory.largestPayload();
    }

    /** What was to be staged in it will not be. */
    void giveBack(OwnedRegion region) {
        free.add(region);
    }

    /** Gives up what is free while more than half of the quota is in use: others may need it. */
    void trim() {
        collect();
        if (!free.isEmpty() && directory.usedBytes() > directory.largestPayload() / 2) {
            giveUp();
        }
    }

    /** Whether there was anything to give up. */
    private boolean giveUp() {
        boolean any = !free.isEmpty();
        free.forEach(OwnedRegion::delete);
        all.removeAll(free);
        free.clear();
        return any;
    }

    /** Deletes what holds nothing that the job still has to fold, and leaves it the rest. */
    @Override
    public void close() {
        collect();
        giveUp();
        all.forEach(OwnedRegion::abandon);
        all.clear();
    }
}
