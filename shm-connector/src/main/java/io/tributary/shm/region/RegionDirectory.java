// SPDX-License-Identifier: Apache-2.0

package io.tributary.shm.region;

import io.tributary.protocol.RejectedException;
import io.tributary.protocol.message.PayloadRef;
import io.tributary.shm.region.RegionLayout.State;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteOrder;
import java.nio.MappedByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.channels.OverlappingFileLockException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.UUID;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * A directory of regions, and of directories of them, with a quota. The directory itself is the
 * record of what is used, so several processes may share one; reservations exclude each other by a
 * file lock. Files and directories are open to their owner alone. Thread-safe.
 */
public final class RegionDirectory {

    /** What the names of regions end with. */
    public static final String SUFFIX = ".region";

    private static final int TYPE = 0xF000;
    private static final int TYPE_DIRECTORY = 0x4000;
    private static final int OTHERS_WRITE = 2;

    private static final Object IN_THIS_PROCESS = new Object();

    private final Path directory;
    private final long quotaBytes;

    /**
     * @param directory created when missing
     * @param quotaBytes bound for the sum of all regions, headers included
     */
    public RegionDirectory(Path directory, long quotaBytes) {
        this.directory = create(directory);
        this.quotaBytes = quotaBytes;
    }

    static Path create(Path directory) {
        try {
            Files.createDirectories(
                    directory,
                    PosixFilePermissions.asFileAttribute(
                            PosixFilePermissions.fromString("rwx------")));
            requireTrusted(directory, Set.of(user()));
            return directory;
        } catch (IOException e) {
            throw new UncheckedIOException(
                    "region directory %s cannot be used; choose another: %s"
                            .formatted(directory, e.getMessage()),
                    e);
        }
    }

    /**
     * Whoever owns a directory can change all that is in it, so it must be one's own, or that of
     * somebody who is named.
     *
     * @param users ids of those who may own it
     * @throws IOException when it is another's, or everybody's, or a link to elsewhere
     */
    public static void requireTrusted(Path directory, Set<Integer> users) throws IOException {
        Map<String, Object> found =
                Files.readAttributes(directory, "unix:uid,mode", LinkOption.NOFOLLOW_LINKS);
        int mode = (int) found.get("mode");
        int owner = (int) found.get("uid");
        if ((mode & TYPE) != TYPE_DIRECTORY) {
            throw new IOException("it is a link or a file, expected a directory");
        }
        if (!users.contains(owner)) {
            throw new IOException(
                    "it belongs to user %d, expected %s; a directory of your own below it will do"
                            .formatted(
                                    owner,
                                    users.stream()
                                            .sorted()
                                            .map(String::valueOf)
                                            .collect(Collectors.joining(" or "))));
        }
        if ((mode & OTHERS_WRITE) != 0) {
            throw new IOException(
                    "others may write to it; take that permission away, or choose one below it");
        }
    }

    /** Id of the user of this process. */
    public static int user() throws IOException {
        return (int) Files.getAttribute(Path.of("/proc/self"), "unix:uid");
    }

    /** The longest payload that can ever be reserved here, in bytes. */
    public long largestPayload() {
        return quotaBytes - RegionLayout.PAYLOAD_OFFSET;
    }

    /**
     * Reserves a region of full length that is written once.
     *
     * @param name the file's name, with the directory below this one, without the suffix
     * @param payloadLength bytes, ≥ 0
     * @return empty when the quota or the file system has no room for it now
     */
    public Optional<RegionWriter> reserve(String name, long payloadLength) throws IOException {
        return reserve(name, payloadLength, RegionWriter::new);
    }

    /** The same for a region that its owner takes back after each release. */
    public Optional<OwnedRegion> own(String name, long payloadLength) throws IOException {
        return reserve(name, payloadLength, OwnedRegion::create);
    }

    /** The same for a region views of whose memory somebody may keep for as long as he likes. */
    public Optional<OwnedRegion> lend(String name, long payloadLength) throws IOException {
        return reserve(name, payloadLength, OwnedRegion::lent);
    }

    @FunctionalInterface
    private interface Maker<T> {
        T make(Path file, long payloadLength) throws IOException;
    }

    private <T> Optional<T> reserve(String name, long payloadLength, Maker<T> maker)
            throws IOException {
        long length = RegionLayout.PAYLOAD_OFFSET + payloadLength;
        Path file = directory.resolve(name + SUFFIX);
        create(file.getParent());
        synchronized (IN_THIS_PROCESS) {
            try (FileChannel channel =
                            FileChannel.open(
                                    directory.resolve(".lock"),
                                    StandardOpenOption.CREATE,
                                    StandardOpenOption.WRITE);
                    FileLock ignored = channel.lock()) {
                if (length > quotaBytes - usedBytes()
                        || length > Files.getFileStore(directory).getUsableSpace()) {
                    return Optional.empty();
                }
                return Optional.of(maker.make(file, payloadLength));
            } catch (OverlappingFileLockException e) {
                // Another class loader of this process, that of another job, is just at it.
                return Optional.empty();
            } catch (IOException e) {
                if (Files.getFileStore(directory).getUsableSpace() < length) {
                    // Somebody else has filled the file system meanwhile.
                    return Optional.empty();
                }
                throw e;
            }
        }
    }

    /** A name that no other region has. */
    public static String unique(String prefix) {
        return prefix + "-" + UUID.randomUUID();
    }

    /** Bytes of all regions, headers included. */
    public long usedBytes() {
        return usedBytes(directory);
    }

    /** Bytes of all regions at or below a directory, headers included. */
    public static long usedBytes(Path directory) {
        return list(directory).stream().mapToLong(RegionDirectory::size).sum();
    }

    private static long size(Path file) {
        try {
            return Files.size(file);
        } catch (IOException e) {
            // Released between listing and looking.
            return 0;
        }
    }

    /** All regions, in any state. */
    public List<Path> list() {
        return list(directory);
    }

    /** All regions at or below a directory, in any state. */
    public static List<Path> list(Path directory) {
        return list(directory, SUFFIX);
    }

    private static List<Path> list(Path directory, String suffix) {
        try (Stream<Path> files = Files.walk(directory)) {
            return files.filter(f -> f.toString().endsWith(suffix)).toList();
        } catch (NoSuchFileException e) {
            return List.of();
        } catch (UncheckedIOException e) {
            if (e.getCause() instanceof NoSuchFileException) {
                // A directory went while it was walked; whoever asks again sees what is left.
                return List.of();
            }
            throw e;
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /**
     * Gives a payload's region back: to its owner, if it takes it back and lives, else by deleting
     * it. Does nothing where the payload is not in a region, or the region is gone, or already in a
     * later tenure.
     */
    public static void release(PayloadRef payload) {
        if (!payload.region()) {
            return;
        }
        Path file = Path.of(payload.path());
        try {
            RegionHeader header = RegionHeader.read(file);
            if (header.tenure() != payload.tenure()) {
                return;
            }
            if (!header.ownerTakesBack() || !header.owner().alive()) {
                delete(file);
            } else if (header.state() == State.READY) {
                giveBack(file, payload.tenure());
            }
        } catch (RejectedException e) {
            // Gone, or no longer a region; nobody can use what is left.
            delete(file);
        }
    }

    private static void giveBack(Path file, int tenure) {
        try (FileChannel channel =
                FileChannel.open(file, StandardOpenOption.READ, StandardOpenOption.WRITE)) {
            MappedByteBuffer header =
                    channel.map(FileChannel.MapMode.READ_WRITE, 0, RegionLayout.PAYLOAD_OFFSET);
            header.order(ByteOrder.LITTLE_ENDIAN);
            RegionLayout.WORD.compareAndSet(
                    header,
                    RegionLayout.STATE_OFFSET,
                    RegionLayout.word(State.READY, tenure),
                    RegionLayout.word(State.RELEASED, tenure));
            Unmapper.unmap(header);
        } catch (NoSuchFileException expected) {
            // Its owner has just deleted it.
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    static void delete(Path file) {
        try {
            Files.deleteIfExists(file);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /**
     * Deletes what dead processes left: regions they were writing or had got back, and, after a
     * while in which a job might still want them, regions that were READY; also what is no region
     * at all and older than that.
     *
     * @param directory at or below which to look
     * @param grace age from which READY and damaged regions are deleted too
     * @return what was deleted
     */
    public static List<Path> reap(Path directory, Duration grace) {
        List<Path> reaped = new ArrayList<>();
        for (Path file : list(directory, RegionFiles.PART)) {
            if (olderThan(file, grace)) {
                delete(file);
            }
        }
        for (Path file : list(directory)) {
            if (reapable(file, grace)) {
                delete(file);
                reaped.add(file);
            }
        }
        return reaped;
    }

    private static boolean reapable(Path file, Duration grace) {
        boolean old = olderThan(file, grace);
        try {
            RegionHeader header = RegionHeader.read(file);
            return !header.owner().alive()
                    && (header.state() != State.READY || old && !JobDirectory.mayWant(file));
        } catch (RejectedException e) {
            return old;
        }
    }

    private static boolean olderThan(Path file, Duration age) {
        try {
            long millis = Files.getLastModifiedTime(file).toMillis();
            return System.currentTimeMillis() - millis >= age.toMillis();
        } catch (IOException e) {
            // It went between listing and looking.
            return false;
        }
    }
}
