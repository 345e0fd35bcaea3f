// SPDX-License-Identifier: Apache-2.0

package io.tributary.memory.region;

import io.tributary.memory.os.Descriptors;
import io.tributary.protocol.RejectReason;
import io.tributary.protocol.RejectedException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.util.UUID;

/**
 * How region files are made: open to their owner and, in a shared directory, its group; written so
 * that no space is an exception.
 */
final class RegionFiles {

    static final String PART = ".part";

    private RegionFiles() {}

    /** Where a region is made before it gets its name, unseen by those who list regions. */
    static Path part(Path file) {
        return file.resolveSibling(
                ".%s.%s%s".formatted(file.getFileName(), UUID.randomUUID(), PART));
    }

    static FileChannel create(Path file) throws IOException {
        return Descriptors.create(file, TrustedDirectory.mode(file));
    }

    static void write(FileChannel channel, ByteBuffer bytes, long at) throws IOException {
        long position = at;
        while (bytes.hasRemaining()) {
            position += channel.write(bytes, position);
        }
    }

    /** Gives a new region's payload its bytes, and so the space that it needs. */
    @FunctionalInterface
    interface Filling {
        void fill(FileChannel channel, long at, long length) throws IOException;
    }

    /** Copies {@code length} bytes of a file; no byte passes through here. */
    static void copy(Path source, FileChannel channel, long at, long length) throws IOException {
        try (FileChannel from = FileChannel.open(source)) {
            channel.position(at);
            long done = 0;
            while (done < length) {
                long more = from.transferTo(done, length - done, channel);
                if (more == 0) {
                    throw new IOException(source + " was cut short by somebody");
                }
                done += more;
            }
        }
    }

    /** Writes zeros, so that the file system has the space before a mapping is written to. */
    static void fill(FileChannel channel, long at, long length) throws IOException {
        ByteBuffer zeros = ByteBuffer.allocateDirect((int) Math.min(length, 1 << 20));
        for (long done = 0; done < length; done += zeros.limit()) {
            zeros.clear().limit((int) Math.min(zeros.capacity(), length - done));
            write(channel, zeros, at + done);
        }
    }

    /**
     * Deletes what is no longer a region, since nobody can use what is left. What could not be read
     * is left alone: this thread may be interrupted, because its task is cancelled, and the region
     * may be a trainer's next update.
     */
    static void deleteDamaged(Path file, RejectedException why) {
        if (why.reason() == RejectReason.MALFORMED) {
            RegionDirectory.delete(file);
        }
    }
}
