// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.aggregate;

import io.tributary.protocol.message.PayloadRef;

/**
 * Σ weight × value for each element of a shard, unnormalised, as {@code ModelLayout} lays it out.
 */
public sealed interface PartialSum {

    /**
     * It is here.
     *
     * @param sum not to be changed
     */
    record Inline(byte[] sum) implements PartialSum {}

    /**
     * It is in a region; the reader gives the region back.
     *
     * @param payload where
     */
    record InRegion(PayloadRef payload) implements PartialSum {}
}
