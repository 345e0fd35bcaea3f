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
     * @param type F64 or F32
     * @param scale with F32, what is there is the sum times 2 to the power of this; 0 with F64
     * @param bound with F32, no element of the sum has a larger magnitude; 0 with F64
     */
    record Lying(PayloadRef payload, DType type, int scale, double bound) implements PartialSum {}
}
