// SPDX-License-Identifier: Apache-2.0

package io.tributary.memory.region;

import io.tributary.memory.region.RegionLayout.State;
import io.tributary.protocol.message.PayloadRef;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.OptionalInt;

/**
 * A region while it is written once, in pieces, by positional writes; deleted when released. Not
 * thread-safe.
 */
public final class RegionWriter implements AutoCloseable {

    private static final int GENERATION = 1;

    private final Path file;
    private final long payloadLength;
    private final Owner owner;
    private final FileChannel channel;

    RegionWriter(Path file, long payloadLength, Owner owner) throws IOException {
        this(file, payloadLength, owner, RegionFiles::fill);
    }

    /** A region with a copy of a whole file, which has its length, instead of zeros. */
    static RegionWriter copy(Path source, Path file, long payloadLength, Owner owner)
            throws IOException {
        return new RegionWriter(
                file,
                payloadLength,
                owner,
                (channel, at, length) -> RegionFiles.copy(source, channel, at, length));
    }

    private RegionWriter(Path file, long payloadLength, Owner owner, RegionFiles.Filling filling)
            throws IOException {
        this.file = file;
        this.payloadLength = payloadLength;
        this.owner = owner;
        Path part = RegionFiles.part(file);
        this.channel = RegionFiles.create(part);
        try {
            write(State.WRITING, OptionalInt.empty(), "{}");
            filling.fill(channel, RegionLayout.PAYLOAD_OFFSET, payloadLength);
            Files.move(part, file, StandardCopyOption.ATOMIC_MOVE);
        } catch (IOException e) {
            close();
            Files.deleteIfExists(part);
            throw e;
        }
    }

    /** Writes the remaining bytes at {@code offset} of the payload. */
    public void write(long offset, ByteBuffer bytes) throws IOException {
        if (offset < 0 || offset + bytes.remaining() > payloadLength) {
            throw new IndexOutOfBoundsException(
                    "bytes %d to %d of a payload of %d"
                            .formatted(offset, offset + bytes.remaining(), payloadLength));
        }
        RegionFiles.write(channel, bytes, RegionLayout.PAYLOAD_OFFSET + offset);
    }

    /** The region's payload. */
    public PayloadRef payload() {
        return new PayloadRef(
                file.toString(), RegionLayout.PAYLOAD_OFFSET, payloadLength, GENERATION);
    }

    /**
     * Makes the region READY.
     *
     * @param crc32c of the payload
     * @param description JSON that says what it is
     */
    public void publish(int crc32c, String description) throws IOException {
        write(State.READY, OptionalInt.of(crc32c), description);
    }

    private void write(State state, OptionalInt crc32c, String description) throws IOException {
        RegionHeader header =
                new RegionHeader(
                        false,
                        state,
                        GENERATION,
                        payloadLength,
                        crc32c,
                        false,
                        owner,
                        payloadLength,
                        description);
        RegionFiles.write(channel, header.page(), 0);
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
