// SPDX-License-Identifier: Apache-2.0

package io.tributary.node;

import io.tributary.protocol.message.RegionRef;
import java.io.InterruptedIOException;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;

/**
 * Bounds what is sent of each job's regions, so that none takes a link for itself. A job is the
 * first name of its regions. Thread-safe.
 */
final class RateLimiter {

    private static final double BURST_SECONDS = 0.1;

    private static final int STEP_BYTES = 1 << 14;

    private final long bytesPerSecond;
    private final Map<String, Long> freeAtNanos = new HashMap<>();

    /**
     * @param bytesPerSecond for each job; 0 for no bound
     */
    RateLimiter(long bytesPerSecond) {
        this.bytesPerSecond = bytesPerSecond;
    }

    /** Cuts a range so that it shows when it moves, however low the bound. */
    List<RegionRef> parts(RegionRef range) {
        return bytesPerSecond == 0 ? List.of(range) : range.pieces(STEP_BYTES);
    }

    /** Waits until this range may be sent. */
    void take(RegionRef ref) throws InterruptedIOException {
        if (bytesPerSecond == 0) {
            return;
        }
        long bytes = ref.length();
        String job = ref.name().split("/", 2)[0];
        long wait;
        synchronized (this) {
            long now = System.nanoTime();
            long earliest = now - (long) (BURST_SECONDS * 1e9);
            long start = Math.max(freeAtNanos.getOrDefault(job, earliest), earliest);
            freeAtNanos.put(job, start + (long) (1e9 * bytes / bytesPerSecond));
            wait = start - now;
        }
        try {
            TimeUnit.NANOSECONDS.sleep(wait);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new InterruptedIOException("interrupted while waiting for its turn");
        }
    }
}
