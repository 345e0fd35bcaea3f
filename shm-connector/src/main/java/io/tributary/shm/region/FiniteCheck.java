// SPDX-License-Identifier: Apache-2.0

package io.tributary.shm.region;

import java.io.Serializable;
import java.nio.ByteBuffer;

/** Tells whether float32 values are all finite, as fast as it can. Thread-safe. */
@FunctionalInterface
public interface FiniteCheck extends Serializable {

    /** In plain Java. */
    FiniteCheck JAVA =
            (floats, count) -> {
                int[] bits = new int[count];
                floats.duplicate().order(floats.order()).asIntBuffer().get(bits);
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
     * @param floats direct, little-endian, from position on
     * @param count how many of them, at most 2048
     */
    boolean finite(ByteBuffer floats, int count);
}
