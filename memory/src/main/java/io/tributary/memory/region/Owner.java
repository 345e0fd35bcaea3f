// SPDX-License-Identifier: Apache-2.0

package io.tributary.memory.region;

import java.nio.file.Path;
import java.util.UUID;

/**
 * A process that has made something in a region directory. It lives as long as it holds the lock on
 * its {@link Presence}, which neither a clock nor another process with its number can change.
 *
 * @param process drawn by each process at random
 * @param pid its number in its own process-id namespace, for people; never decided by
 */
public record Owner(UUID process, long pid) {

    /** This process, which shows from now on that it lives, in the directory. */
    public static Owner self(Path directory) {
        Presence.show(directory);
        return new Owner(Presence.SELF, ProcessHandle.current().pid());
    }

    /**
     * Whether it still runs.
     *
     * @param made what it has made
     */
    public boolean alive(Path made) {
        return Presence.seen(process, made);
    }
}
