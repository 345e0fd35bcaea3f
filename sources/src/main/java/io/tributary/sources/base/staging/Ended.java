// SPDX-License-Identifier: Apache-2.0

package io.tributary.sources.base.staging;

import io.tributary.protocol.chunk.ChunkHeader;
import io.tributary.protocol.message.RoundId;

/**
 * A sending that is over.
 *
 * @param id what it was for
 * @param attempt which it was
 * @param resent whether earlier sendings had a part in it
 * @param superseded the attempts before it
 */
record Ended(RoundId id, long attempt, boolean resent, Superseded superseded) {

    static Ended of(ChunkHeader header) {
        return new Ended(header.id(), header.attempt(), false, new Superseded());
    }
}
