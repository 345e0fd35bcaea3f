// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.model;

import java.util.BitSet;
import java.util.Optional;

/**
 * Decides whether a round's new model is the global model, when all of its shards have been seen:
 * one shard that is not finite rejects them all. It is taken here, downstream of the sums, because
 * the coordinator cannot know them. Pure; not thread-safe.
 */
final class RoundVerdict {

    private final int shards;
    private final BitSet seen = new BitSet();
    private Optional<String> rejection = Optional.empty();

    RoundVerdict(int shards) {
        this.shards = shards;
    }

    /**
     * A shard is there.
     *
     * @param flaw what is wrong with it; empty when nothing is
     */
    void take(int shard, String flaw) {
        seen.set(shard);
        if (rejection.isEmpty() && !flaw.isEmpty()) {
            rejection = Optional.of(flaw);
        }
    }

    /** Whether all shards have been seen, and it can be taken. */
    boolean due() {
        return seen.cardinality() == shards;
    }

    /** Why the model is rejected, by the first shard that was flawed; empty when it is not. */
    Optional<String> rejection() {
        return rejection;
    }
}
