// SPDX-License-Identifier: Apache-2.0

package io.tributary.memory.region;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteOrder;

/**
 * The header page of a region file, little-endian; the payload begins at {@link #PAYLOAD_OFFSET}.
 *
 * <pre>
 *    0  8  magic "TRIBUTRY"
 *    8  4  version, 3
 *   12  4  flags: bit 0, the owner takes the region back when it is released;
 *          bit 1, the payload's checksum is in the header;
 *          bit 2, its writer promises that all values are finite
 *   16  4  state: 1 WRITING, 2 READY, 3 RELEASED
 *   20  4  generation: which use of the region this is, from 1 on
 *   24  8  payload length in bytes
 *   32  4  CRC32C of the payload, 0 where there is none
 *   36  4  length of the description in bytes
 *   40 16  the owner, a number that its process has drawn: two u64, high word first
 *   56  8  process id of the owner, in its own namespace, for people
 *   64  8  length that is reserved for payloads in bytes; the file has 4096 more
 *   72     the description, JSON in UTF-8, at most 4024 bytes
 * </pre>
 *
 * <p>State and generation are one word, changed by compare-and-set while the file is shared: a
 * release of an earlier generation can never hit a later one.
 */
public final class RegionLayout {

    public static final long MAGIC = 0x5952545542495254L; // "TRIBUTRY", read little-endian
    public static final int VERSION = 3;

    public static final int MAGIC_OFFSET = 0;
    public static final int VERSION_OFFSET = MAGIC_OFFSET + Long.BYTES;
    public static final int FLAGS_OFFSET = VERSION_OFFSET + Integer.BYTES;
    public static final int STATE_OFFSET = FLAGS_OFFSET + Integer.BYTES;
    public static final int GENERATION_OFFSET = STATE_OFFSET + Integer.BYTES;
    public static final int LENGTH_OFFSET = GENERATION_OFFSET + Integer.BYTES;
    public static final int CRC_OFFSET = LENGTH_OFFSET + Long.BYTES;
    public static final int DESCRIPTION_LENGTH_OFFSET = CRC_OFFSET + Integer.BYTES;
    public static final int OWNER_OFFSET = DESCRIPTION_LENGTH_OFFSET + Integer.BYTES;
    public static final int OWNER_PID_OFFSET = OWNER_OFFSET + 2 * Long.BYTES;
    public static final int CAPACITY_OFFSET = OWNER_PID_OFFSET + Long.BYTES;
    public static final int DESCRIPTION_OFFSET = CAPACITY_OFFSET + Long.BYTES;
    public static final int PAYLOAD_OFFSET = 4096;
    public static final int MAX_DESCRIPTION_BYTES = PAYLOAD_OFFSET - DESCRIPTION_OFFSET;

    /** Flag: the owner writes into the region again after its release, or deletes it itself. */
    public static final int OWNER_TAKES_BACK = 1;

    /** Flag: the header has the payload's checksum. */
    public static final int HAS_CHECKSUM = 2;

    /** Flag: the writer has looked at all values, and promises that they are finite. */
    public static final int FINITE = 4;

    static final VarHandle WORD =
            MethodHandles.byteBufferViewVarHandle(long[].class, ByteOrder.LITTLE_ENDIAN);

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

    /** State and generation as one word. */
    static long word(State state, int generation) {
        return (long) generation << Integer.SIZE | state.code();
    }
}
