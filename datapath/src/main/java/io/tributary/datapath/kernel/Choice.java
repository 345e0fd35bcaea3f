// SPDX-License-Identifier: Apache-2.0

package io.tributary.datapath.kernel;

import com.sun.jna.Pointer;
import io.tributary.memory.os.LibC;
import java.io.IOException;
import java.util.OptionalInt;

/**
 * Which slots are in use: {@code struct choice} in bpf/policy.h, mapped. Each number is written by
 * one store, so the kernel sees the old one or the new one. Not thread-safe.
 */
final class Choice implements AutoCloseable {

    /** The active and the previous slot are one number of 64 bits. */
    private static final int ACTIVE_AT = 0;

    private static final int PREVIOUS_AT = 4;
    private static final int STANDBY_AT = 8;
    private static final int SWITCHES_AT = 16;
    private static final int FLOWS_AT = 24;
    private static final int LOST_AT = FLOWS_AT + NetworkLayout.SLOTS * Integer.BYTES + Long.BYTES;

    /** {@code struct choice}. */
    static final int VALUE_BYTES = LOST_AT + Long.BYTES;

    private static final int BYTES = 4096;
    private static final int NONE = -1;

    private final Pointer memory;

    private Choice(Pointer memory) {
        this.memory = memory;
    }

    /**
     * Maps it.
     *
     * @param map its descriptor
     */
    static Choice of(int map) throws IOException {
        return new Choice(Pins.mapped(map, 0, BYTES, LibC.PROT_READ_WRITE));
    }

    /** No slot is in use. */
    void clear() {
        memory.setInt(STANDBY_AT, NONE);
        memory.setLong(ACTIVE_AT, -1L);
    }

    private OptionalInt slot(int at) {
        int slot = memory.getInt(at);
        return slot == NONE ? OptionalInt.empty() : OptionalInt.of(slot);
    }

    /** The slot that is computed. */
    OptionalInt active() {
        return slot(ACTIVE_AT);
    }

    /** The one before it. */
    OptionalInt previous() {
        return slot(PREVIOUS_AT);
    }

    /** The one that has been installed, and is to be the next. */
    OptionalInt standby() {
        return slot(STANDBY_AT);
    }

    /** How many times the active slot has changed. */
    long switches() {
        return memory.getLong(SWITCHES_AT);
    }

    /** How many connections use a slot. */
    int flows(int slot) {
        return memory.getInt(FLOWS_AT + (long) slot * Integer.BYTES);
    }

    /** For how many samples there was no room. */
    long lost() {
        return memory.getLong(LOST_AT);
    }

    /** A slot has been written. */
    void stand(int slot) {
        memory.setInt(STANDBY_AT, slot);
    }

    /** A slot is about to be written, so it must not become active. */
    void clearStandby() {
        memory.setInt(STANDBY_AT, NONE);
    }

    /** Makes a slot the active one, and the active one the previous, by one store of both. */
    void activate(int slot) {
        long before = memory.getInt(ACTIVE_AT);
        memory.setLong(ACTIVE_AT, before << Integer.SIZE | slot);
        memory.setLong(SWITCHES_AT, switches() + 1);
    }

    @Override
    public void close() {
        LibC.INSTANCE.munmap(memory, BYTES);
    }
}
