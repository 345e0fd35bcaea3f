// SPDX-License-Identifier: Apache-2.0

package io.tributary.memory.kernel;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/**
 * Runs of elements and their weights, folded together in one pass over the sum. Used again and
 * again, so that folding allocates nothing. Not thread-safe.
 */
public final class Columns {

    /** The most that are folded together; more at a time would not be faster. */
    public static final int MAX = 8;

    /** As {@code struct column} in fold.h: an address and a weight. */
    private static final int ENTRY = 2 * Long.BYTES;

    private final Memory[] memory = new Memory[MAX];
    private final long[] offset = new long[MAX];
    private final ByteBuffer table =
            ByteBuffer.allocateDirect(MAX * ENTRY).order(ByteOrder.nativeOrder());
    private final long address = Memory.addressOf(table);
    private int size;

    /** Takes all out. */
    public void clear() {
        size = 0;
    }

    /**
     * Adds one to fewer than {@link #MAX}.
     *
     * @param values where it lies
     * @param from where its first element is, in bytes
     * @param weight what its elements are multiplied with, &gt; 0; if they are integers, a whole
     *     number less than 2^53
     */
    public void add(Memory values, long from, double weight) {
        memory[size] = values;
        offset[size] = from;
        table.putLong(size * ENTRY, values.address(from));
        table.putDouble(size * ENTRY + Long.BYTES, weight);
        size++;
    }

    /** How many there are. */
    public int size() {
        return size;
    }

    /** The table's address, for the native kernel. */
    long address() {
        return address;
    }

    double weight(int column) {
        return table.getDouble(column * ENTRY + Long.BYTES);
    }

    ByteBuffer elements(int column, long from, int bytes) {
        return memory[column].slice(offset[column] + from, bytes);
    }
}
