// SPDX-License-Identifier: Apache-2.0

package io.tributary.shm.region;

import io.tributary.protocol.message.PayloadRef;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.channels.OverlappingFileLockException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.List;
import java.util.Optional;
import java.util.UUID;
import java.util.stream.Stream;

/**
 * A directory of regions with a quota. The directory itself is the record of what is used, so
 * several processes may share one; reservations exclude each other by a file lock. Files and
 * directory are open to their owner alone. Thread-safe.
 */
public final class RegionDirectory {

    private static final String SUFFIX = ".region";
    private static final Object IN_THIS_PROCESS = new Object();

    private final Path directory;
    private final long quotaBytes;

    /**
     * @param directory created when missing
     * @param quotaBytes bound for the sum of all regions, headers included
     */
    public RegionDirectory(Path directory, long quotaBytes) {
        this.directory = directory;
        this.quotaBytes = quotaBytes;
        try {
            Files.createDirectories(
                    directory,
                    PosixFilePermissions.asFileAttribute(
                            PosixFilePermissions.fromString("rwx------")));
        } catch (IOException e) {
            throw new UncheckedIOException(
                    "region directory %s cannot be made; choose another: %s"
                            .formatted(directory, e.getMessage()),
                    e);
        }
    }

    /** The longest payload that can ever be reserved here, in bytes. */
    public long largestPayload() {
        return quotaBytes - RegionLayout.PAYLOAD_OFFSET;
    }

    /**
     * Reserves a region of full length.
     *
     * @param name start of the file's name
     * @param payloadLength bytes, ≥ 0
     * @return empty when the quota or the file system has no room for it now
     */
    public Optional<RegionWriter> reserve(String name, long payloadLength) throws IOException {
        long length = RegionLayout.PAYLOAD_OFFSET + payloadLength;
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
                Path file = directory.resolve(name + "-" + UUID.randomUUID() + SUFFIX);
                return Optional.of(new RegionWriter(file, payloadLength));
            } catch (OverlappingFileLockException e) {
                // Another class loader of this process, that of another job, is just at it.
                return Optional.empty();
            }
        }
    }

    /** Bytes of all regions, headers included. */
    public long usedBytes() {
        return list().stream().mapToLong(RegionDirectory::size).sum();
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
        try (Stream<Path> files = Files.list(directory)) {
            return files.filter(f -> f.toString().endsWith(SUFFIX)).toList();
        } catch (NoSuchFileException e) {
            return List.of();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /**
     * Gives a region's memory back once its last mapping is closed. Does nothing where the payload
     * is not in a region, or has been released.
     */
    public static void release(PayloadRef payload) {
        if (!payload.region()) {
            return;
        }
        try {
            Files.deleteIfExists(Path.of(payload.path()));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
