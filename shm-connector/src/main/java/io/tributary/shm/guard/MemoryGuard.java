// SPDX-License-Identifier: Apache-2.0

package io.tributary.shm.guard;

import com.sun.jna.Library;
import com.sun.jna.Native;
import com.sun.jna.NativeLibrary;
import com.sun.jna.Pointer;
import io.tributary.shm.kernel.NativeCode;
import io.tributary.shm.region.RegionMappings;
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

    private final Guard guard;
    private final Map<Long, Integer> slots = new HashMap<>();

    /** The native functions, by their own names. */
    interface Guard extends Library {

        int guard_install();

        int guard_watch(Pointer begin, long length);

        void guard_unwatch(int slot);

        long guard_slot_faults(int slot);

        long guard_faults();
    }

    private MemoryGuard(Guard guard) {
        this.guard = guard;
    }

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
        Guard guard = Native.load(library.get().getFile().getPath(), Guard.class);
        if (guard.guard_install() != 0) {
            LOG.warn("the guard's signal handler cannot be set");
            return false;
        }
        RegionMappings.watch(new MemoryGuard(guard));
        installed = true;
        return true;
    }

    @Override
    public synchronized boolean mapped(ByteBuffer window) {
        Pointer begin = Native.getDirectBufferPointer(window);
        int slot = guard.guard_watch(begin, window.capacity());
        if (slot >= 0) {
            slots.put(Pointer.nativeValue(begin), slot);
        }
        return slot >= 0;
    }

    @Override
    public synchronized boolean watches(ByteBuffer window) {
        return slots.containsKey(Pointer.nativeValue(Native.getDirectBufferPointer(window)));
    }

    @Override
    public synchronized void unmapping(ByteBuffer window) {
        Integer slot = slots.remove(Pointer.nativeValue(Native.getDirectBufferPointer(window)));
        if (slot != null) {
            guard.guard_unwatch(slot);
        }
    }

    @Override
    public synchronized boolean damaged(ByteBuffer window) {
        Integer slot = slots.get(Pointer.nativeValue(Native.getDirectBufferPointer(window)));
        return slot != null && guard.guard_slot_faults(slot) > 0;
    }

    @Override
    public long faults() {
        return guard.guard_faults();
    }
}
