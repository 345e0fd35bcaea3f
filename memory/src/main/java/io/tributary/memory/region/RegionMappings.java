// SPDX-License-Identifier: Apache-2.0

package io.tributary.memory.region;

import io.tributary.memory.os.FileBelow;
import io.tributary.memory.region.RegionLayout.State;
import io.tributary.protocol.RejectReason;
import io.tributary.protocol.RejectedException;
import io.tributary.protocol.message.PayloadRef;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;

/**
 * The regions that this process has mapped, each once and for as long as it is used again: the
 * first pass over a fresh mapping costs several times as much as the next. Thread-safe.
 */
public final class RegionMappings {

    private static final Map<Object, Mapping> ALL = new HashMap<>();
    private static volatile Watcher watcher = new Unwatched();

    /** Looks after mapped memory whose file somebody may cut short. Thread-safe. */
    public interface Watcher {

        /**
         * It is mapped from now on.
         *
         * @return false where there is no place to watch it
         */
        boolean mapped(ByteBuffer window);

        /** Whether it is watched, as far as anything is. */
        boolean watches(ByteBuffer window);

        /** It is about to be unmapped. */
        void unmapping(ByteBuffer window);

        /** Whether some of it was gone when it was read, and zeros were read instead. */
        boolean damaged(ByteBuffer window);

        /** How often that has happened, to any memory. */
        long faults();
    }

    /** Nobody looks: touching memory that is gone ends the process. */
    private static final class Unwatched implements Watcher {

        @Override
        public boolean mapped(ByteBuffer window) {
            return true;
        }

        @Override
        public boolean watches(ByteBuffer window) {
            return true;
        }

        @Override
        public void unmapping(ByteBuffer window) {}

        @Override
        public boolean damaged(ByteBuffer window) {
            return false;
        }

        @Override
        public long faults() {
            return 0;
        }
    }

    /**
     * Has memory watched while something is done with it.
     *
     * @throws RejectedException PAYLOAD_LOST when it cannot be watched
     */
    static void watching(ByteBuffer window, Runnable action) {
        watch(window);
        try {
            action.run();
        } finally {
            watcher.unmapping(window);
        }
    }

    /**
     * Has memory watched until it is {@link #unwatch unwatched}.
     *
     * @throws RejectedException PAYLOAD_LOST when it cannot be watched
     */
    static void watch(ByteBuffer window) {
        if (!watcher.mapped(window)) {
            throw new RejectedException(
                    RejectReason.PAYLOAD_LOST,
                    "too much memory is mapped at a time to be guarded; ask again later");
        }
    }

    /**
     * A region of another user may claim to be larger than anything is, by a file of which nothing
     * takes memory.
     *
     * @throws RejectedException PAYLOAD_LOST when its file system could not hold it
     */
    static void requirePossible(FileBelow file, long capacity) {
        try {
            if (capacity > Files.getFileStore(file.path()).getTotalSpace()) {
                throw new RejectedException(
                        RejectReason.PAYLOAD_LOST,
                        "region %s: it has %d bytes, more than its file system could hold"
                                .formatted(file.named(), capacity));
            }
        } catch (IOException e) {
            throw new RejectedException(RejectReason.PAYLOAD_LOST, e.getMessage());
        }
    }

    /** It is about to be unmapped. */
    static void unwatch(ByteBuffer window) {
        watcher.unmapping(window);
    }

    /** Sets who watches what is mapped from now on. */
    public static void watch(Watcher newWatcher) {
        watcher = newWatcher;
    }

    /**
     * How often memory was gone when it was read, whoever read it. Where this has not risen,
     * nothing is {@link #damaged}.
     */
    public static long faults() {
        return watcher.faults();
    }

    /** Whether some of a mapping was gone when it was read, and zeros were read instead. */
    public static boolean damaged(MappedFile mapped) {
        return mapped.windows().stream().anyMatch(watcher::damaged);
    }

    private RegionMappings() {}

    private static final class Mapping {

        private final MappedFile mapped;
        private final Path path;
        private int users;

        Mapping(MappedFile mapped, Path path) {
            this.mapped = mapped;
            this.path = path;
        }
    }

    /**
     * Maps a payload, or finds it mapped. What is not a region is mapped for the caller alone.
     *
     * @return to be closed
     * @throws RejectedException PAYLOAD_LOST when the file is gone or too short
     */
    public static MappedFile acquire(PayloadRef payload) {
        return acquire(payload, Path.of(payload.path()));
    }

    /** The same of a region that is open already. */
    public static MappedFile acquire(PayloadRef payload, FileBelow file) {
        requirePossible(file, RegionHeader.read(file).capacity());
        MappedFile mapped = acquire(payload, file.path());
        if (!mapped.windows().stream().allMatch(watcher::watches)) {
            mapped.close();
            throw new RejectedException(
                    RejectReason.PAYLOAD_LOST,
                    "too much memory is mapped at a time to be guarded; ask again later");
        }
        return mapped;
    }

    private static MappedFile acquire(PayloadRef payload, Path opened) {
        Path path = Path.of(payload.path());
        if (!payload.region()) {
            return MappedFile.open(payload, opened);
        }
        synchronized (ALL) {
            Object inode = inode(path, opened);
            Mapping known = ALL.get(inode);
            if (known != null && known.mapped.length() < payload.length()) {
                // It has grown, or is another file under a used number.
                MappedFile own = MappedFile.open(payload, opened);
                own.windows().forEach(watcher::mapped);
                return own.share(
                        payload.length(),
                        () -> {
                            own.windows().forEach(watcher::unmapping);
                            own.close();
                        });
            }
            if (known != null && damaged(known.mapped)) {
                // Zeros stand in it for ever; those who still have it have been told.
                ALL.remove(inode);
                known = null;
            }
            if (known == null) {
                known = new Mapping(MappedFile.open(whole(payload, opened), opened), path);
                known.mapped.windows().forEach(watcher::mapped);
                ALL.put(inode, known);
            }
            Mapping mapping = known;
            mapping.users++;
            return mapping.mapped.share(payload.length(), () -> release(mapping));
        }
    }

    /**
     * Makes sure that nobody has cut a region short, because touching what is no longer there would
     * end the process. A region that was removed is still there for those who have it mapped.
     *
     * @throws RejectedException PAYLOAD_LOST
     */
    public static void requireWhole(PayloadRef payload) {
        if (!payload.region()) {
            return;
        }
        try {
            long size = Files.size(Path.of(payload.path()));
            if (size < payload.offset() + payload.length()) {
                throw new RejectedException(
                        RejectReason.PAYLOAD_LOST,
                        "%s has %d bytes, expected %d; it was truncated"
                                .formatted(
                                        payload.path(), size, payload.offset() + payload.length()));
            }
        } catch (IOException expected) {
            // Removed; the mapping stays.
        }
    }

    /** All that is reserved, since the next payload in it may be longer. */
    private static PayloadRef whole(PayloadRef payload, Path opened) {
        long capacity = RegionHeader.read(opened).capacity();
        return new PayloadRef(payload.path(), payload.offset(), capacity, payload.generation());
    }

    private static Object inode(Path path, Path opened) {
        try {
            Object key = Files.getAttribute(opened, "unix:ino");
            return path + "#" + key;
        } catch (IOException e) {
            return path;
        }
    }

    private static void release(Mapping mapping) {
        synchronized (ALL) {
            mapping.users--;
        }
    }

    /** Whether a payload's region has been released, or is in a later generation. */
    public static boolean over(PayloadRef payload) {
        if (!payload.region()) {
            return false;
        }
        try {
            RegionHeader header = RegionHeader.read(Path.of(payload.path()));
            return header.generation() != payload.generation() || header.state() == State.RELEASED;
        } catch (RejectedException e) {
            return true;
        }
    }

    /** Unmaps what nobody uses and whose file is gone. */
    public static void sweep() {
        synchronized (ALL) {
            ALL.values()
                    .removeIf(
                            mapping -> {
                                boolean gone = mapping.users == 0 && !Files.exists(mapping.path);
                                if (gone) {
                                    mapping.mapped.windows().forEach(watcher::unmapping);
                                    mapping.mapped.close();
                                }
                                return gone;
                            });
        }
    }
}
