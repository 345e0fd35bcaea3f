// SPDX-License-Identifier: Apache-2.0

package io.tributary.shm.region;

import java.time.Instant;

/**
 * A process, told apart from a later one with the same id by its start.
 *
 * @param pid process id
 * @param startMillis start time, ms since 1970; 0 where the system does not tell
 */
public record Owner(long pid, long startMillis) {

    private static final Owner SELF = of(ProcessHandle.current());

    /** This process. */
    public static Owner self() {
        return SELF;
    }

    /** The process with that id. */
    public static Owner of(long pid) {
        return ProcessHandle.of(pid).map(Owner::of).orElseGet(() -> new Owner(pid, 0));
    }

    private static Owner of(ProcessHandle process) {
        return new Owner(
                process.pid(), process.info().startInstant().map(Instant::toEpochMilli).orElse(0L));
    }

    /** Whether it still runs. */
    public boolean alive() {
        return ProcessHandle.of(pid)
                .map(Owner::of)
                .filter(o -> o.startMillis == 0 || startMillis == 0 || o.startMillis == startMillis)
                .isPresent();
    }
}
