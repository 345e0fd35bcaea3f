// SPDX-License-Identifier: Apache-2.0

package io.tributary.shm.region;

import io.tributary.protocol.message.PayloadRef;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.Set;

/**
 * A region while it is written. Written with positional writes rather than through a mapping, so
 * that a full file system is an exception and not a signal. Not thread-safe.
 */
public final class RegionWriter implements AutoCloseable {

    private final Path file;
    private final long payloadLength;
    private final FileChannel channel;

    RegionWriter(Path file, long payloadLength) throws IOException {
        this.file = file;
        this.payloadLength = payloadLength;
        this.channel =
                FileChannel.open(
                        file,
                        Set.of(
                                StandardOpenOption.CREATE_NEW,
                                StandardOpenOption.READ,
                                StandardOpenOption.WRITE),
                        PosixFilePermissions.asFileAttribute(
                                PosixFilePermissions.fromString("rw-------")));
        write(RegionLayout.State.WRITING, 0, "{}");
        if (payloadLength > 0) {
            fill(ByteBuffer.allocate(1), RegionLayout.PAYLOAD_OFFSET + payloadLength - 1);
        }
    }

    /** Writes the remaining bytes at {@code offset} of the payload. */
    public void write(long offset, ByteBuffer bytes) throws IOException {
        if (offset < 0 || offset + bytes.remaining() > payloadLength) {
            throw new IndexOutOfBoundsException(
                    "bytes %d to %d of a payload of %d"
                            .formatted(offset, offset + bytes.remaining(), payloadLength));
        }
        fill(bytes, RegionLayout.PAYLOAD_OFFSET + offset);
    }

    /** The region's payload. */
    public PayloadRef payload() {
        return new PayloadRef(file.toString(), RegionLayout.PAYLOAD_OFFSET, payloadLength, true);
    }

    /**
     * Makes the region READY.
     *
     * @param crc32c of the payload
     * @param description JSON that says what it is
     */
    public void publish(int crc32c, String description) throws IOException {
        write(RegionLayout.State.READY, crc32c, description);
    }

    private void write(RegionLayout.State state, int crc32c, String description)
            throws IOException {
        fill(RegionLayout.header(state, payloadLength, crc32c, description), 0);
    }

    private void fill(ByteBuffer bytes, long at) throws IOException {
        long position = at;
        while (bytes.hasRemaining()) {
            position += channel.write(bytes, position);
        }
    }

    /** Throws the region away. */
    public void discard() throws IOException {
        close();
        Files.deleteIfExists(file);
    }

    /** Ends writing; the file stays. */
    @Override
    public void close() throws IOException {
        channel.close();
    }
}
