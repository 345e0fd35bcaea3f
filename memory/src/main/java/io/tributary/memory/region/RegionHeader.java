// SPDX-License-Identifier: Apache-2.0

package io.tributary.memory.region;

import io.tributary.memory.os.FileBelow;
import io.tributary.memory.region.RegionLayout.State;
import io.tributary.protocol.RejectReason;
import io.tributary.protocol.RejectedException;
import io.tributary.protocol.message.PayloadRef;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.OptionalInt;
import java.util.UUID;

/**
 * What a region's header says, as {@link RegionLayout} lays it out.
 *
 * @param ownerTakesBack whether a release gives the region back to its owner rather than deleting
 * @param state where in its life it is
 * @param generation which use of it
 * @param payloadLength bytes
 * @param crc32c of the payload; empty where its owner, who wrote it in place, did not compute it
 * @param finite whether its writer has looked at all values, and promises that they are finite
 * @param owner the process that made it
 * @param capacity bytes reserved for payloads
 * @param description JSON that says what it is
 */
public record RegionHeader(
        boolean ownerTakesBack,
        State state,
        int generation,
        long payloadLength,
        OptionalInt crc32c,
        boolean finite,
        Owner owner,
        long capacity,
        String description) {

    /**
     * Reads and checks the header of a file.
     *
     * @throws RejectedException PAYLOAD_LOST when there is no such file, MALFORMED when it is not a
     *     region, or damaged, or shorter than its header says
     */
    public static RegionHeader read(Path file) {
        return read(file, file);
    }

    /** The same for a file that is open already. */
    public static RegionHeader read(FileBelow file) {
        return read(file.named(), file.path());
    }

    private static RegionHeader read(Path file, Path opened) {
        ByteBuffer page =
                ByteBuffer.allocate(RegionLayout.PAYLOAD_OFFSET).order(ByteOrder.LITTLE_ENDIAN);
        long size;
        try (FileChannel channel = FileChannel.open(opened, StandardOpenOption.READ)) {
            size = channel.size();
            while (page.hasRemaining() && channel.read(page) >= 0) {
                // Until the page is full or the file ends.
            }
        } catch (IOException e) {
            throw new RejectedException(
                    RejectReason.PAYLOAD_LOST, "%s cannot be read: %s".formatted(file, e));
        }
        if (page.hasRemaining()) {
            throw damaged(file, "it has %d bytes, a header has 4096".formatted(size));
        }
        RegionHeader header = parse(file, page);
        if (header.capacity() < header.payloadLength()
                || header.capacity() > size - RegionLayout.PAYLOAD_OFFSET) {
            throw damaged(
                    file,
                    "its header tells of %d bytes of payload in %d reserved, the file has %d; it was truncated"
                            .formatted(header.payloadLength(), header.capacity(), size));
        }
        return header;
    }

    private static RegionHeader parse(Path file, ByteBuffer page) {
        long magic = page.getLong(RegionLayout.MAGIC_OFFSET);
        if (magic != RegionLayout.MAGIC) {
            throw damaged(file, "it begins with %016x, not with TRIBUTRY".formatted(magic));
        }
        int version = page.getInt(RegionLayout.VERSION_OFFSET);
        if (version != RegionLayout.VERSION) {
            throw damaged(
                    file,
                    "it has version %d, expected %d; is another Tributary at work here?"
                            .formatted(version, RegionLayout.VERSION));
        }
        int code = page.getInt(RegionLayout.STATE_OFFSET);
        int generation = page.getInt(RegionLayout.GENERATION_OFFSET);
        long length = page.getLong(RegionLayout.LENGTH_OFFSET);
        int described = page.getInt(RegionLayout.DESCRIPTION_LENGTH_OFFSET);
        if (code < 1
                || code > State.values().length
                || generation < 1
                || length < 0
                || described < 0
                || described > RegionLayout.MAX_DESCRIPTION_BYTES) {
            throw damaged(
                    file,
                    "it has state %d, generation %d, length %d and %d bytes of description"
                            .formatted(code, generation, length, described));
        }
        int flags = page.getInt(RegionLayout.FLAGS_OFFSET);
        return new RegionHeader(
                (flags & RegionLayout.OWNER_TAKES_BACK) != 0,
                State.values()[code - 1],
                generation,
                length,
                (flags & RegionLayout.HAS_CHECKSUM) == 0
                        ? OptionalInt.empty()
                        : OptionalInt.of(page.getInt(RegionLayout.CRC_OFFSET)),
                (flags & RegionLayout.FINITE) != 0,
                new Owner(
                        new UUID(
                                page.getLong(RegionLayout.OWNER_OFFSET),
                                page.getLong(RegionLayout.OWNER_OFFSET + Long.BYTES)),
                        page.getLong(RegionLayout.OWNER_PID_OFFSET)),
                page.getLong(RegionLayout.CAPACITY_OFFSET),
                new String(
                        page.array(),
                        RegionLayout.DESCRIPTION_OFFSET,
                        described,
                        StandardCharsets.UTF_8));
    }

    private static RejectedException damaged(Path file, String what) {
        return new RejectedException(
                RejectReason.MALFORMED, "region %s is damaged: %s".formatted(file, what));
    }

    /** The payload, of this generation. */
    public PayloadRef payload(Path file) {
        return new PayloadRef(
                file.toString(), RegionLayout.PAYLOAD_OFFSET, payloadLength, generation);
    }

    /** The page that says so. */
    ByteBuffer page() {
        byte[] text = description.getBytes(StandardCharsets.UTF_8);
        if (text.length > RegionLayout.MAX_DESCRIPTION_BYTES) {
            throw new IllegalArgumentException(
                    "a region's description has at most %d bytes, this one has %d"
                            .formatted(RegionLayout.MAX_DESCRIPTION_BYTES, text.length));
        }
        return ByteBuffer.allocate(RegionLayout.PAYLOAD_OFFSET)
                .order(ByteOrder.LITTLE_ENDIAN)
                .putLong(RegionLayout.MAGIC_OFFSET, RegionLayout.MAGIC)
                .putInt(RegionLayout.VERSION_OFFSET, RegionLayout.VERSION)
                .putInt(
                        RegionLayout.FLAGS_OFFSET,
                        (ownerTakesBack ? RegionLayout.OWNER_TAKES_BACK : 0)
                                | (crc32c.isPresent() ? RegionLayout.HAS_CHECKSUM : 0)
                                | (finite ? RegionLayout.FINITE : 0))
                .putLong(RegionLayout.STATE_OFFSET, RegionLayout.word(state, generation))
                .putLong(RegionLayout.LENGTH_OFFSET, payloadLength)
                .putInt(RegionLayout.CRC_OFFSET, crc32c.orElse(0))
                .putInt(RegionLayout.DESCRIPTION_LENGTH_OFFSET, text.length)
                .putLong(RegionLayout.OWNER_OFFSET, owner.process().getMostSignificantBits())
                .putLong(
                        RegionLayout.OWNER_OFFSET + Long.BYTES,
                        owner.process().getLeastSignificantBits())
                .putLong(RegionLayout.OWNER_PID_OFFSET, owner.pid())
                .putLong(RegionLayout.CAPACITY_OFFSET, capacity)
                .put(RegionLayout.DESCRIPTION_OFFSET, text);
    }
}
