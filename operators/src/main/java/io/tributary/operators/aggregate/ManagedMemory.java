// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.aggregate;

import org.apache.flink.runtime.memory.MemoryManager;
import org.apache.flink.runtime.memory.MemoryReservationException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * What a subtask takes of the memory that Flink keeps for its operators outside of the heap, so
 * that a process does not grow beyond what it was given. Not thread-safe.
 */
final class ManagedMemory implements AutoCloseable {

    private static final Logger LOG = LoggerFactory.getLogger(ManagedMemory.class);

    private final MemoryManager manager;
    private long reserved;
    private long beyond;

    ManagedMemory(MemoryManager manager) {
        this.manager = manager;
    }

    /** Takes some; where there is no more, says so once, and the process grows. */
    void reserve(long bytes) {
        try {
            manager.reserveMemory(this, bytes);
            reserved += bytes;
        } catch (MemoryReservationException e) {
            if (beyond == 0) {
                LOG.warn(
                        "sums take more than the {} bytes of managed memory of this slot; raise taskmanager.memory.managed.size, or the process takes more than it was given",
                        manager.getMemorySize());
            }
            beyond += bytes;
        }
    }

    /** Gives some back, first of what there was no more for. */
    void release(long bytes) {
        long grown = Math.min(beyond, bytes);
        beyond -= grown;
        manager.releaseMemory(this, bytes - grown);
        reserved -= bytes - grown;
    }

    /** Bytes of it that are taken. */
    long reserved() {
        return reserved;
    }

    @Override
    public void close() {
        manager.releaseAllMemory(this);
        reserved = 0;
    }
}
