// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.aggregate;

import io.tributary.shm.region.FiniteCheck;
import java.nio.ByteBuffer;

/**
 * By the sum of magnitudes, which the BLAS takes as fast as memory is read; where that is not
 * finite, value by value, since finite values may have no finite sum. Not thread-safe.
 */
public final class FloatFiniteCheck implements FiniteCheck {

    private ByteBuffer memory = ByteBuffer.allocate(0);
    private long address;

    @Override
    public float bound(ByteBuffer block, int offset, int count) {
        // Asking for an address costs more than adding up a block.
        if (block != memory) {
            memory = block;
            address = FloatKernel.address(block);
        }
        float sum = FloatKernel.magnitude(address + offset, count);
        return Float.isFinite(sum) ? sum : JAVA.bound(block, offset, count);
    }
}
