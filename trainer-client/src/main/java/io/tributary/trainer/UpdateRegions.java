// SPDX-License-Identifier: Apache-2.0

package io.tributary.trainer;

import io.tributary.protocol.RejectReason;
import io.tributary.shm.region.OwnedRegion;
import io.tributary.shm.region.RegionDirectory;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.UUID;
import java.util.function.Function;
import java.util.function.Supplier;

/**
 * The regions that a trainer writes its updates into. Those that are free again are used again,
 * since fresh memory is slow. Not thread-safe.
 */
final class UpdateRegions implements AutoCloseable {

    private static final long PAUSE_MILLIS = 20;

    private final Supplier<RegionDirectory> directory;
    private final Function<UUID, String> names;
    private final Duration patience;
    private final List<Owned> all = new ArrayList<>();

    /**
     * @param directory where they are made, with the quota of now
     * @param names their names
     * @param patience time to wait for room
     */
    UpdateRegions(
            Supplier<RegionDirectory> directory, Function<UUID, String> names, Duration patience) {
        this.directory = directory;
        this.names = names;
        this.patience = patience;
    }

    /** Regions below a trainer's own directory, as many as it needs. */
    static UpdateRegions in(Path directory) {
        RegionDirectory updates = new RegionDirectory(directory.resolve("updates"), Long.MAX_VALUE);
        return new UpdateRegions(() -> updates, UUID::toString, Duration.ZERO);
    }

    /** A region in use or free. */
    static final class Owned {

        private final UUID id;
        private final OwnedRegion region;
        private boolean free;

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

        /** It is not needed any more, and nobody else has it. */
        void free() {
            free = true;
        }
    }

    /**
     * A region for an update, in WRITING.
     *
     * @throws TrainerException when there is no room for it within the patience
     */
    Owned take(long length) {
        long end = System.nanoTime() + patience.toNanos();
        try {
            while (true) {
                Optional<Owned> taken = reuse(length);
                if (taken.isEmpty()) {
                    taken = make(length);
                }
                if (taken.isPresent()) {
                    return taken.get();
                }
                if (System.nanoTime() > end) {
                    throw new TrainerException(
                            RejectReason.TOO_LARGE,
                            "no room for an update of %d bytes within %s: %d of at most %d bytes are in use; raise the region quota, or wait for the job to fold"
                                    .formatted(
                                            length,
                                            patience,
                                            directory.get().usedBytes(),
                                            directory.get().largestPayload()));
                }
                Thread.sleep(PAUSE_MILLIS);
            }
        } catch (IOException e) {
            throw new UncheckedIOException("an update cannot be made", e);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException("interrupted while waiting for room", e);
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
    public void close() {
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
