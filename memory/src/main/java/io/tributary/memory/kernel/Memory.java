// SPDX-License-Identifier: Apache-2.0

package io.tributary.memory.kernel;

import com.sun.jna.Native;
import com.sun.jna.Pointer;
import java.nio.ByteBuffer;

/** Bytes outside of the heap, at addresses that do not change. */
public interface Memory {

    /** Bytes of it. */
    long length();

    /** The address of one of them. */
    long address(long offset);

    /** A little-endian view of {@code count} bytes from {@code offset} on, without copying. */
    ByteBuffer slice(long offset, int count);

    /** The address of a direct buffer's first byte. */
    static long addressOf(ByteBuffer direct) {
        return Pointer.nativeValue(Native.getDirectBufferPointer(direct));
    }

    /** Sets all bytes to zero. */
    default void clear() {
        new Pointer(address(0)).clear(length());
    }
}
