// SPDX-License-Identifier: Apache-2.0

package io.tributary.shm.agent;

import io.tributary.shm.region.RegionDirectory;
import java.io.UncheckedIOException;
import java.nio.file.Path;
import java.time.Duration;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Deletes now and then what the dead have left. Not thread-safe. */
final class Reaper {

    private static final Logger LOG = LoggerFactory.getLogger(Reaper.class);
    private static final Duration EVERY = Duration.ofSeconds(10);
    private static final Duration GRACE = Duration.ofMinutes(10);

    private final Path directory;
    private final AgentMetrics metrics;
    private long reapedAt = System.nanoTime();

    Reaper(Path directory, AgentMetrics metrics) {
        this.directory = directory;
        this.metrics = metrics;
    }

    /** If it is time for it. */
    void reap() {
        long now = System.nanoTime();
        if (now - reapedAt >= EVERY.toNanos()) {
            reapedAt = now;
            try {
                metrics.reaped(RegionDirectory.reap(directory, GRACE).size());
            } catch (UncheckedIOException e) {
                LOG.warn("regions cannot be reaped: {}", e.getMessage());
            }
        }
    }
}
