// SPDX-License-Identifier: Apache-2.0

package io.tributary.memory.mailbox;

import static io.tributary.memory.mailbox.DescriptorLayout.BYTES;
import static io.tributary.memory.mailbox.DescriptorLayout.CODE_OFFSET;
import static io.tributary.memory.mailbox.DescriptorLayout.FROM_OFFSET;
import static io.tributary.memory.mailbox.DescriptorLayout.KIND_OFFSET;
import static io.tributary.memory.mailbox.DescriptorLayout.MAGIC;
import static io.tributary.memory.mailbox.DescriptorLayout.MAGIC_OFFSET;
import static io.tributary.memory.mailbox.DescriptorLayout.NUMBER_OFFSET;
import static io.tributary.memory.mailbox.DescriptorLayout.REGION_OFFSET;
import static io.tributary.memory.mailbox.DescriptorLayout.TO_OFFSET;
import static io.tributary.memory.mailbox.DescriptorLayout.VERSION;
import static io.tributary.memory.mailbox.DescriptorLayout.VERSION_OFFSET;

import io.tributary.protocol.RejectReason;
import io.tributary.protocol.RejectedException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.Optional;
import java.util.UUID;

/**
 * A ring of the bell: look at what is in the directory. It carries nothing that is not there too,
 * so a lost one costs time and nothing else.
 *
 * @param kind what it is about
 * @param code why, where something is rejected; in HELLO {@link #THIS_HOST}, or 0; 0 otherwise
 * @param to whom it is for
 * @param from whom it comes from, as the sender's socket says; ignored in what is sent
 * @param number round and epoch, or a count
 * @param region the id of the region meant; empty where none is; in HELLO the token that the
 *     agent's door has given
 */
public record Descriptor(
        Kind kind, int code, EndpointId to, EndpointId from, long number, Optional<UUID> region) {

    /** Code of a HELLO: the endpoint is for its host alone. */
    public static final int THIS_HOST = 1;

    private static final UUID NO_REGION = new UUID(0, 0);

    /** What a descriptor is about. */
    public enum Kind {
        /** Endpoint to agent: I am {@code from}. */
        HELLO(1),
        /** Agent to endpoint: you are. */
        WELCOME(2),
        /** Agent to endpoint: no, {@code code} says why; the connection ends. */
        REJECTED(3),
        /** Endpoint to agent: I have read {@code number} descriptors. */
        READ(4),
        /** Agent to endpoint: there is no {@code from} that a descriptor could go to. */
        UNDELIVERABLE(5),
        /** A trainer's update is READY in {@code region}. */
        UPDATE(16),
        /** A trainer has something to say of itself. */
        CONTROL(17),
        /** There is a new round plan. */
        PLAN(18),
        /** There is an answer; {@code code} is its status. */
        RECEIPT(19),
        /** Nothing but a ring. */
        PING(20);

        private final byte code;

        Kind(int code) {
            this.code = (byte) code;
        }

        /** Whether it is between endpoints. */
        public boolean peer() {
            return code >= UPDATE.code;
        }

        private static Optional<Kind> of(byte code) {
            return Arrays.stream(values()).filter(k -> k.code == code).findFirst();
        }
    }

    /** A ring for another endpoint. */
    public static Descriptor ring(Kind kind, EndpointId to) {
        return new Descriptor(kind, 0, to, EndpointId.NONE, 0, Optional.empty());
    }

    /** The same about a region. */
    public static Descriptor ring(Kind kind, EndpointId to, UUID region) {
        return new Descriptor(kind, 0, to, EndpointId.NONE, 0, Optional.of(region));
    }

    /** Its 64 bytes. */
    public ByteBuffer encode() {
        UUID id = region.orElse(NO_REGION);
        return ByteBuffer.allocate(BYTES)
                .order(ByteOrder.LITTLE_ENDIAN)
                .putInt(MAGIC_OFFSET, MAGIC)
                .put(VERSION_OFFSET, VERSION)
                .put(KIND_OFFSET, kind.code)
                .putShort(CODE_OFFSET, (short) code)
                .putLong(TO_OFFSET, to.high())
                .putLong(TO_OFFSET + Long.BYTES, to.low())
                .putLong(FROM_OFFSET, from.high())
                .putLong(FROM_OFFSET + Long.BYTES, from.low())
                .putLong(NUMBER_OFFSET, number)
                .putLong(REGION_OFFSET, id.getMostSignificantBits())
                .putLong(REGION_OFFSET + Long.BYTES, id.getLeastSignificantBits());
    }

    /**
     * Reads 64 bytes at {@code at}.
     *
     * @throws RejectedException MALFORMED
     */
    public static Descriptor decode(ByteBuffer bytes, int at) {
        ByteBuffer in = bytes.duplicate().order(ByteOrder.LITTLE_ENDIAN);
        int magic = in.getInt(at + MAGIC_OFFSET);
        if (magic != MAGIC) {
            throw malformed(
                    "begins with %08x, expected TRIB".formatted(Integer.reverseBytes(magic)));
        }
        byte version = in.get(at + VERSION_OFFSET);
        if (version != VERSION) {
            throw malformed("has version %d, expected %d".formatted(version, VERSION));
        }
        byte kind = in.get(at + KIND_OFFSET);
        UUID region =
                new UUID(
                        in.getLong(at + REGION_OFFSET),
                        in.getLong(at + REGION_OFFSET + Long.BYTES));
        return new Descriptor(
                Kind.of(kind).orElseThrow(() -> malformed("has unknown kind " + kind)),
                in.getShort(at + CODE_OFFSET),
                id(in, at + TO_OFFSET),
                id(in, at + FROM_OFFSET),
                in.getLong(at + NUMBER_OFFSET),
                Optional.of(region).filter(r -> !r.equals(NO_REGION)));
    }

    private static EndpointId id(ByteBuffer in, int at) {
        return new EndpointId(in.getLong(at), in.getLong(at + Long.BYTES));
    }

    private static RejectedException malformed(String what) {
        return new RejectedException(
                RejectReason.MALFORMED,
                "a frame of %d bytes was expected to be a descriptor, but it %s"
                        .formatted(BYTES, what));
    }
}
