// SPDX-License-Identifier: Apache-2.0

package io.tributary.shm.region;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.time.Instant;

/**
 * The header page of a region file, little-endian; the payload begins at {@link #PAYLOAD_OFFSET}.
 *
 * <pre>
 *    0  8  magic "TRIBUTRY"
 *    8  4  version, 1
 *   12  4  state: 1 WRITING, 2 READY, 3 RELEASED
 *   16  8  payload length in bytes
 *   24  4  CRC32C of the payload, 0 while WRITING
 *   28  4  length of the description in bytes
 *   32  8  process id of the owner
 *   40  8  start time of the owner, ms since 1970
 *   48 16  zero
 *   64     the description, JSON in UTF-8, at most 4032 bytes
 * </pre>
 */
public final class RegionLayout {

    public static final long MAGIC = 0x5952545542495254L; // "TRIBUTRY", read little-endian
    public static final int VERSION = 1;

    public static final int MAGIC_OFFSET = 0;
    public static final int VERSION_OFFSET = MAGIC_OFFSET + Long.BYTES;
    public static final int STATE_OFFSET = VERSION_OFFSET + Integer.BYTES;
    public static final int LENGTH_OFFSET = STATE_OFFSET + Integer.BYTES;
    public static final int CRC_OFFSET = LENGTH_OFFSET + Long.BYTES;
    public static final int DESCRIPTION_LENGTH_OFFSET = CRC_OFFSET + Integer.BYTES;
    public static final int OWNER_PID_OFFSET = DESCRIPTION_LENGTH_OFFSET + Integer.BYTES;
    public static final int OWNER_START_OFFSET = OWNER_PID_OFFSET + Long.BYTES;
    public static final int DESCRIPTION_OFFSET = 64;
    public static final int PAYLOAD_OFFSET = 4096;
    public static final int MAX_DESCRIPTION_BYTES = PAYLOAD_OFFSET - DESCRIPTION_OFFSET;

    /** The life of a region. */
    public enum State {
        WRITING(1),
        READY(2),
        RELEASED(3);

        private final int code;

        State(int code) {
            this.code = code;
        }

        /** The number in the header. */
        public int code() {
            return code;
        }
    }

    private RegionLayout() {}

    /** A header page. */
    static ByteBuffer header(State state, long payloadLength, int crc32c, String description) {
        byte[] text = description.getBytes(StandardCharsets.UTF_8);
        if (text.length > MAX_DESCRIPTION_BYTES) {
            throw new IllegalArgumentException(
                    "a region's description has at most %d bytes, this one has %d"
                            .formatted(MAX_DESCRIPTION_BYTES, text.length));
        }
        ProcessHandle self = ProcessHandle.current();
        return ByteBuffer.allocate(PAYLOAD_OFFSET)
                .order(ByteOrder.LITTLE_ENDIAN)
                .putLong(MAGIC_OFFSET, MAGIC)
                .putInt(VERSION_OFFSET, VERSION)
                .putInt(STATE_OFFSET, state.code())
                .putLong(LENGTH_OFFSET, payloadLength)
                .putInt(CRC_OFFSET, crc32c)
                .putInt(DESCRIPTION_LENGTH_OFFSET, text.length)
                .putLong(OWNER_PID_OFFSET, self.pid())
                .putLong(
                        OWNER_START_OFFSET,
                        self.info().startInstant().map(Instant::toEpochMilli).orElse(0L))
                .put(DESCRIPTION_OFFSET, text);
    }
}
