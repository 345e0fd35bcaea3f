// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.aggregate;

import io.tributary.operators.aggregate.AggregatorInput.CloseNode;
import java.util.Optional;

/**
 * What a checkpoint of before {@link AccumulatorState} remembers of one tree node for one shard of
 * one round.
 *
 * @param sum unnormalised, as {@code ModelLayout} lays it out, not to be changed; empty before the
 *     first contribution
 * @param weight Σ weights
 * @param contributions how many are in the sum
 * @param close the close, if it has come
 * @param earlier whether the sum is as version 1 wrote it: a float64 for each element
 */
record NodeAccumulator(
        byte[] sum, double weight, int contributions, Optional<CloseNode> close, boolean earlier) {}
