// SPDX-License-Identifier: Apache-2.0

package io.tributary.memory.mailbox;

/**
 * A descriptor, 64 bytes, little-endian. The eBPF program reads and writes the same offsets.
 *
 * <pre>
 *    0  4  magic "TRIB"
 *    4  1  version, 1
 *    5  1  kind, see {@link Descriptor.Kind}; below 16 it is between an endpoint and the agent
 *    6  2  code: why, where something is rejected
 *    8 16  endpoint it is for: two u64, high word first
 *   24 16  endpoint it comes from; filled in by who delivers it, by the sender's socket
 *   40  8  round in the low, epoch in the high half; or a count of descriptors read
 *   48 16  a region's id: two u64, high word first; zero where none is meant; in HELLO a token
 * </pre>
 */
public final class DescriptorLayout {

    public static final int MAGIC = 0x42495254; // "TRIB", read little-endian
    public static final byte VERSION = 1;

    public static final int MAGIC_OFFSET = 0;
    public static final int VERSION_OFFSET = MAGIC_OFFSET + Integer.BYTES;
    public static final int KIND_OFFSET = VERSION_OFFSET + Byte.BYTES;
    public static final int CODE_OFFSET = KIND_OFFSET + Byte.BYTES;
    public static final int TO_OFFSET = CODE_OFFSET + Short.BYTES;
    public static final int FROM_OFFSET = TO_OFFSET + 2 * Long.BYTES;
    public static final int NUMBER_OFFSET = FROM_OFFSET + 2 * Long.BYTES;
    public static final int REGION_OFFSET = NUMBER_OFFSET + Long.BYTES;
    public static final int BYTES = REGION_OFFSET + 2 * Long.BYTES;

    private DescriptorLayout() {}
}
