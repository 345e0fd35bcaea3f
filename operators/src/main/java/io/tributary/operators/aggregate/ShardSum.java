// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.aggregate;

import io.tributary.memory.kernel.Memory;
import io.tributary.memory.region.OwnedRegion;
import java.io.IOException;
import java.util.Optional;
import org.apache.flink.core.memory.DataInputView;
import org.apache.flink.core.memory.DataOutputView;

/**
 * The unnormalised sums of a shard, Σ weight × value for each element, as {@code ModelLayout} lays
 * them out.
 *
 * @param memory where they are; it may be longer than they are
 * @param region whose memory it is, which can be handed to another process; empty where it is this
 *     process's own
 */
record ShardSum(Memory memory, Optional<OwnedRegion> region) {

    /** Bytes that go to or from a stream at once. */
    private static final int STEP = 1 << 16;

    byte[] copy(int bytes) {
        byte[] copy = new byte[bytes];
        memory.slice(0, bytes).get(copy);
        return copy;
    }

    /** Writes so many of its bytes. */
    void write(int bytes, DataOutputView out) throws IOException {
        byte[] some = new byte[Math.min(bytes, STEP)];
        for (int at = 0; at < bytes; at += STEP) {
            int count = Math.min(STEP, bytes - at);
            memory.slice(at, count).get(some, 0, count);
            out.write(some, 0, count);
        }
    }

    /** Reads so many of its bytes. */
    void read(int bytes, DataInputView in) throws IOException {
        byte[] some = new byte[Math.min(bytes, STEP)];
        for (int at = 0; at < bytes; at += STEP) {
            int count = Math.min(STEP, bytes - at);
            in.readFully(some, 0, count);
            memory.slice(at, count).put(some, 0, count);
        }
    }
}
