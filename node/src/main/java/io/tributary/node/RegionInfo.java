// SPDX-License-Identifier: Apache-2.0

package io.tributary.node;

import io.tributary.memory.region.RegionLayout.State;
import io.tributary.protocol.message.RegionRef;

/**
 * A region somewhere.
 *
 * @param ref all of its payload
 * @param state where in its life it is
 * @param identity tells it apart from a later one of its name
 */
public record RegionInfo(RegionRef ref, State state, String identity) {

    /**
     * @throws NodeRejectedException when this range of it is not there to be read
     */
    void requireReadable(RegionRef range) throws NodeRejectedException {
        if (ref.generation() != range.generation() || state != State.READY) {
            throw new NodeRejectedException(
                    "region %s on %s: expected generation %d, READY, it is in generation %d, %s"
                            .formatted(
                                    range.name(),
                                    range.node(),
                                    range.generation(),
                                    ref.generation(),
                                    state));
        }
        requireWithin(range);
    }

    /**
     * @throws NodeRejectedException when a range reaches beyond it
     */
    void requireWithin(RegionRef range) throws NodeRejectedException {
        if (range.end() > ref.length()) {
            throw new NodeRejectedException(
                    "region %s on %s: expected a range within its %d bytes, got %d at %d"
                            .formatted(
                                    range.name(),
                                    range.node(),
                                    ref.length(),
                                    range.length(),
                                    range.offset()));
        }
    }
}
