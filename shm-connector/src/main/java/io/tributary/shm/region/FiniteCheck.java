// SPDX-License-Identifier: Apache-2.0

package io.tributary.shm.region;

import java.io.Serializable;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/** Looks at float32 values, as fast as it can. Not thread-safe. */
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
                // Magnitudes are in the order of their bits, and what is not finite comes last.
                int largest = 0;
                for (int i = 0; i < count; i++) {
                    largest = Math.max(largest, bits[i] & 0x7FFFFFFF);
                }
                return Float.intBitsToFloat(largest);
            };

    /**
     * A bound of the values' magnitudes: none is larger. Not finite if one of them is not.
     *
     * @param memory direct, little-endian, the same object for all blocks that lie in it
     * @param offset where the values begin, in bytes from the start of {@code memory}
     * @param count how many of them, at most 2048
     */
    float bound(ByteBuffer memory, int offset, int count);

    /** Makes checks, on task managers. */
    @FunctionalInterface
    interface Factory extends Serializable {

        /** A check for one thread. */
        FiniteCheck create();
    }
}
