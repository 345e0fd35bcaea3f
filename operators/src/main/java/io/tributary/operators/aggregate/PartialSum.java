// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.aggregate;

import io.tributary.protocol.message.PayloadRef;
import io.tributary.protocol.tensor.DType;

/** Σ weight × value for each element of a shard, unnormalised. */
public sealed interface PartialSum {

    /**
     * It is here, in float64.
     *
     * @param sum not to be changed
     */
    record Values(double[] sum) implements PartialSum {}

    /**
     * It lies in a region of this host; whoever reads it gives the region back.
     *
     * @param payload where
     * @param type F64, or F32, then multiplied with {@link FloatSum#SCALE}
     */
    record Lying(PayloadRef payload, DType type) implements PartialSum {}
}
