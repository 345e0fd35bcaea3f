// SPDX-License-Identifier: Apache-2.0

package io.tributary.memory.guard;

import com.sun.jna.Native;
import com.sun.jna.NativeLibrary;
import io.tributary.memory.kernel.Memory;
import io.tributary.memory.kernel.NativeCode;
import io.tributary.memory.region.RegionMappings;
import java.nio.ByteBuffer;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Watches the regions that this process has mapped, by the native guard of {@code src/main/c}.
 * Where a build has none, a region that is cut short in the very moment in which it is read ends
 * the process. Thread-safe.
 */
public final class MemoryGuard implements RegionMappings.Watcher {

    private static final Logger LOG = LoggerFactory.getLogger(MemoryGuard.class);
    private static boolean installed;

    private final Map<Long, Integer> slots = new HashMap<>();

    private MemoryGuard() {}

    private static native int guard_install();

    private static native int guard_watch(long begin, long length);

    private static native void guard_unwatch(int slot);

    private static native long guard_slot_faults(int slot);

    private static native long guard_faults();

    /**
     * Watches all regions mapped from now on, if it can.
     *
     * @return whether it does
     */
    public static synchronized boolean install() {
        if (installed) {
            return true;
        }
        Optional<NativeLibrary> library = NativeCode.library();
        if (library.isEmpty()) {
            LOG.info("regions that are cut short while they are read end this process");
            return false;
        }
        Native.register(MemoryGuard.class, library.get());
        if (guard_install() != 0) {
            LOG.warn("the guard's signal handler cannot be set");
            return false;
        }
        RegionMappings.watch(new MemoryGuard());
        installed = true;
        return true;
    }

    @Override
    public synchronized boolean mapped(ByteBuffer window) {
        long begin = Memory.addressOf(window);
        int slot = guard_watch(begin, window.capacity());
        if (slot >= 0) {
            slots.put(begin, slot);
        }
        return slot >= 0;
    }

    @Override
    public synchronized boolean watches(ByteBuffer window) {
        return slots.containsKey(Memory.addressOf(window));
    }

    @Override
    public synchronized void unmapping(ByteBuffer window) {
        Integer slot = slots.remove(Memory.addressOf(window));
        if (slot != null) {
            guard_unwatch(slot);
        }
    }

    @Override
    public synchronized boolean damaged(ByteBuffer window) {
        Integer slot = slots.get(Memory.addressOf(window));
        return slot != null && guard_slot_faults(slot) > 0;
    }

    @Override
    public long faults() {
        return guard_faults();
    }
}
