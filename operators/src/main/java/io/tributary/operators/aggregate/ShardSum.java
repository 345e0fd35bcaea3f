// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.aggregate;

import io.tributary.memory.kernel.Memory;
import io.tributary.memory.region.OwnedRegion;
import java.util.Optional;

/**
 * The unnormalised sums of a shard, Σ weight × value for each element, as {@code ModelLayout} lays
 * them out.
 *
 * @param memory where they are; it may be longer than they are
 * @param region whose memory it is, which can be handed to another process; empty where it is this
 *     process's own
 */
record ShardSum(Memory memory, Optional<OwnedRegion> region) {

    byte[] copy(int bytes) {
        byte[] copy = new byte[bytes];
        memory.slice(0, bytes).get(copy);
        return copy;
    }
}
