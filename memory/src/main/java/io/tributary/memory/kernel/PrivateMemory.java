// SPDX-License-Identifier: Apache-2.0

package io.tributary.memory.kernel;

import com.sun.jna.Pointer;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/**
 * Memory that no other process sees. It is not the JVM's direct memory, whose limit Flink sets for
 * its own buffers. Freed when it is closed, or when nobody refers to it any more.
 */
public final class PrivateMemory implements Memory, AutoCloseable {

    private final com.sun.jna.Memory memory;
    private final ByteBuffer bytes;

    /**
     * Takes memory, with anything in it.
     *
     * @param length its bytes, at least 1
     */
    public PrivateMemory(int length) {
        memory = new com.sun.jna.Memory(length);
        bytes = memory.getByteBuffer(0, length);
    }

    @Override
    public long length() {
        return memory.size();
    }

    @Override
    public long address(long offset) {
        return Pointer.nativeValue(memory) + offset;
    }

    @Override
    public ByteBuffer slice(long offset, int count) {
        return bytes.slice((int) offset, count).order(ByteOrder.LITTLE_ENDIAN);
    }

    /** Frees it; nobody may use it, nor a view of it, any more. */
    @Override
    public void close() {
        memory.close();
    }
}
