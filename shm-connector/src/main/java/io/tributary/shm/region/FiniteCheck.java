// SPDX-License-Identifier: Apache-2.0

package io.tributary.shm.region;

import java.io.Serializable;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/** Tells whether float32 values are all finite, as fast as it can. Not thread-safe. */
@FunctionalInterface
public interface FiniteCheck {

    /** In plain Java. */
    FiniteCheck JAVA =
            (memory, offset, count) -> {
                int[] bits = new int[count];
                memory.slice(offset, count * Float.BYTES)
                        .order(ByteOrder.LITTLE_ENDIAN)
                        .asIntBuffer()
                        .get(bits);
                // Adding one to an exponent of all ones carries into the sign; no branch, so the
                // compiler makes vectors of it.
                int carry = 0;
                for (int i = 0; i < count; i++) {
                    carry |= (bits[i] & 0x7F800000) + 0x00800000;
                }
                return carry >= 0;
            };

    /**
     * Whether there is neither a NaN nor an infinity.
     *
     * @param memory direct, little-endian, the same object for all blocks that lie in it
     * @param offset where the values begin, in bytes from the start of {@code memory}
     * @param count how many of them, at most 2048
     */
    boolean finite(ByteBuffer memory, int offset, int count);

    /** Makes checks, on task managers. */
    @FunctionalInterface
    interface Factory extends Serializable {
        /** A check for one thread. */
        FiniteCheck create();
    }
}
