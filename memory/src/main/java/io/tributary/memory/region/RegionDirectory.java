// SPDX-License-Identifier: Apache-2.0

package io.tributary.memory.region;

import io.tributary.memory.os.FileBelow;
import io.tributary.memory.os.OfdLock;
import io.tributary.memory.region.RegionLayout.State;
import io.tributary.protocol.RejectReason;
import io.tributary.protocol.RejectedException;
import io.tributary.protocol.message.PayloadRef;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteOrder;
import java.nio.MappedByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.BasicFileAttributes;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.UUID;
import java.util.function.BiConsumer;
import java.util.function.Predicate;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A directory of regions, and of directories of them, with a quota. The directory itself is the
 * record of what is used, so several processes may share one; reservations exclude each other by a
 * lock. Files and directories are open to their owner and, in a shared directory, its group.
 * Thread-safe.
 */
public final class RegionDirectory {

    private static final Logger LOG = LoggerFactory.getLogger(RegionDirectory.class);

    /** What the names of regions end with. */
    public static final String SUFFIX = ".region";

    /** Deeper names are no regions: each level takes a descriptor. */
    private static final int DEEPEST = 32;

    private final Path directory;
    private final long quotaBytes;
    private final long leftBytes;

    /**
     * @param directory created when missing
     * @param quotaBytes bound for the sum of all files, regions with their headers
     */
    public RegionDirectory(Path directory, long quotaBytes) {
        this(create(directory), quotaBytes, 0);
    }

    private RegionDirectory(Path directory, long quotaBytes, long leftBytes) {
        this.directory = directory;
        this.quotaBytes = quotaBytes;
        this.leftBytes = leftBytes;
    }

    /**
     * The same directory for who is to leave room free for others.
     *
     * @param bytes of the quota, and of the file system
     */
    RegionDirectory leaving(long bytes) {
        return new RegionDirectory(directory, quotaBytes, bytes);
    }

    /**
     * Makes a directory where there is none.
     *
     * @throws UncheckedIOException when it cannot be made, or somebody else can change what is in
     *     it
     */
    public static Path create(Path directory) {
        try {
            TrustedDirectory.make(directory);
            return directory;
        } catch (IOException e) {
            throw new UncheckedIOException(
                    "region directory %s cannot be used; choose another: %s"
                            .formatted(directory, e.getMessage()),
                    e);
        }
    }

    Path path() {
        return directory;
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

    /** The same for a region that holds a copy of a file of that length. */
    public Optional<RegionWriter> copy(String name, Path source, long payloadLength)
            throws IOException {
        return reserve(
                name,
                payloadLength,
                (file, length, owner) -> RegionWriter.copy(source, file, length, owner));
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
        T make(Path file, long payloadLength, Owner owner) throws IOException;
    }

    private <T> Optional<T> reserve(String name, long payloadLength, Maker<T> maker)
            throws IOException {
        long length = RegionLayout.PAYLOAD_OFFSET + payloadLength;
        Path file = directory.resolve(name + SUFFIX);
        create(file.getParent());
        Owner owner = Owner.self(directory);
        Path lock = directory.resolve(".lock");
        try (OfdLock ignored = OfdLock.lock(lock, TrustedDirectory.mode(lock))) {
            if (length > quotaBytes - leftBytes - usedBytes()
                    || length > Files.getFileStore(directory).getUsableSpace() - leftBytes) {
                return Optional.empty();
            }
            return Optional.of(maker.make(file, payloadLength, owner));
        } catch (IOException e) {
            if (Files.getFileStore(directory).getUsableSpace() < length) {
                // Somebody else has filled the file system meanwhile.
                return Optional.empty();
            }
            throw e;
        }
    }

    /** A name that no other region has. */
    public static String unique(String prefix) {
        return prefix + "-" + UUID.randomUUID();
    }

    /** Bytes of all regions, headers included, and of all else that lies beside them. */
    public long usedBytes() {
        long[] bytes = new long[1];
        walk(
                directory,
                (path, attributes) ->
                        bytes[0] += attributes.isRegularFile() ? attributes.size() : 0);
        return bytes[0];
    }

    /** Bytes of all regions at or below a directory, headers included. */
    public static long usedBytes(Path directory) {
        return bytes(list(directory));
    }

    /** Bytes of regions, headers included. */
    public static long bytes(List<Path> regions) {
        return regions.stream().mapToLong(RegionDirectory::size).sum();
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
        List<Path> found = new ArrayList<>();
        walk(
                directory,
                (path, attributes) -> {
                    if (path.toString().endsWith(suffix)) {
                        found.add(path);
                    }
                });
        return found;
    }

    /** What is gone by then, or not open to this process's user, is not seen. */
    private static void walk(Path directory, BiConsumer<Path, BasicFileAttributes> visitor) {
        try {
            Files.walkFileTree(
                    directory,
                    Set.of(),
                    DEEPEST,
                    new SimpleFileVisitor<>() {
                        @Override
                        public FileVisitResult preVisitDirectory(
                                Path path, BasicFileAttributes attributes) {
                            return visitFile(path, attributes);
                        }

                        @Override
                        public FileVisitResult visitFile(
                                Path path, BasicFileAttributes attributes) {
                            visitor.accept(path, attributes);
                            return FileVisitResult.CONTINUE;
                        }

                        @Override
                        public FileVisitResult visitFileFailed(Path path, IOException e)
                                throws IOException {
                            if (e instanceof NoSuchFileException || !path.equals(directory)) {
                                return FileVisitResult.CONTINUE;
                            }
                            throw e;
                        }

                        @Override
                        public FileVisitResult postVisitDirectory(Path path, IOException e)
                                throws IOException {
                            return e == null
                                            || e instanceof NoSuchFileException
                                            || !path.equals(directory)
                                    ? FileVisitResult.CONTINUE
                                    : super.postVisitDirectory(path, e);
                        }
                    });
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /**
     * Gives a payload's region back: to its owner, if it takes it back and lives, else by deleting
     * it. Does nothing where the payload is not in a region, or the region is gone, or already in a
     * later generation.
     */
    public static void release(PayloadRef payload) {
        if (!payload.region()) {
            return;
        }
        Path file = Path.of(payload.path());
        try {
            release(file, file, RegionHeader.read(file), payload.generation(), () -> delete(file));
        } catch (RejectedException e) {
            RegionFiles.deleteDamaged(file, e);
        }
    }

    /** The same for a region that is open. */
    public static void release(FileBelow file, int generation) {
        release(file.named(), file.path(), RegionHeader.read(file), generation, () -> delete(file));
    }

    private static void release(
            Path named, Path opened, RegionHeader header, int generation, Runnable delete) {
        if (header.generation() != generation) {
            return;
        }
        if (!header.ownerTakesBack() || !header.owner().alive(named)) {
            delete.run();
        } else if (header.state() == State.READY) {
            giveBack(opened, generation);
        }
    }

    private static void giveBack(Path file, int generation) {
        try (FileChannel channel =
                FileChannel.open(file, StandardOpenOption.READ, StandardOpenOption.WRITE)) {
            MappedByteBuffer header =
                    channel.map(FileChannel.MapMode.READ_WRITE, 0, RegionLayout.PAYLOAD_OFFSET);
            header.order(ByteOrder.LITTLE_ENDIAN);
            RegionMappings.watching(
                    header,
                    () ->
                            RegionLayout.WORD.compareAndSet(
                                    header,
                                    RegionLayout.STATE_OFFSET,
                                    RegionLayout.word(State.READY, generation),
                                    RegionLayout.word(State.RELEASED, generation)));
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

    private static void delete(FileBelow file) {
        try {
            file.delete();
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
        for (Path presences : list(directory, "/" + Presence.DIRECTORY)) {
            Presence.sweep(directory, directory.relativize(presences));
        }
        for (Path found : list(directory, RegionFiles.PART)) {
            deleteIf(directory, found, file -> olderThan(file.path(), grace));
        }
        for (Path found : list(directory)) {
            if (deleteIf(directory, found, file -> reapable(file, grace))) {
                reaped.add(found);
            }
        }
        return reaped;
    }

    /** What cannot be opened or deleted stays, and keeps nothing else. */
    private static boolean deleteIf(Path directory, Path found, Predicate<FileBelow> over) {
        try {
            Optional<FileBelow> opened = FileBelow.open(directory, directory.relativize(found));
            if (opened.isPresent()) {
                try (FileBelow file = opened.get()) {
                    if (over.test(file)) {
                        file.delete();
                        return true;
                    }
                }
            }
        } catch (IOException | RuntimeException e) {
            LOG.debug("{} cannot be reaped: {}", found, e.getMessage());
        }
        return false;
    }

    private static boolean reapable(FileBelow file, Duration grace) {
        boolean old = olderThan(file.path(), grace);
        try {
            RegionHeader header = RegionHeader.read(file);
            return !header.owner().alive(file.named())
                    && (header.state() != State.READY
                            || old && !JobDirectory.mayWant(file.named()));
        } catch (RejectedException e) {
            // What cannot be read may be somebody's.
            return old && e.reason() == RejectReason.MALFORMED;
        }
    }

    static boolean olderThan(Path file, Duration age) {
        try {
            long millis = Files.getLastModifiedTime(file).toMillis();
            return System.currentTimeMillis() - millis >= age.toMillis();
        } catch (IOException e) {
            // It went between listing and looking.
            return false;
        }
    }
}
