// SPDX-License-Identifier: Apache-2.0

package io.tributary.node.agent;

import io.tributary.memory.region.RegionDirectory;
import java.io.UncheckedIOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Deletes now and then what the dead have left, and counts what is there, in a thread of its own:
 * how long that takes is up to those who make files.
 */
final class Reaper implements AutoCloseable {

    private static final Logger LOG = LoggerFactory.getLogger(Reaper.class);
    private static final Duration EVERY = Duration.ofSeconds(10);
    private static final Duration GRACE = Duration.ofMinutes(10);

    private final Path directory;
    private final AgentMetrics metrics;
    private final Consumer<Throwable> failure;
    private final ScheduledExecutorService thread =
            Executors.newSingleThreadScheduledExecutor(
                    run -> {
                        Thread made = new Thread(run, "reaper");
                        made.setDaemon(true);
                        return made;
                    });

    /**
     * @param failure told when it cannot go on
     */
    Reaper(Path directory, AgentMetrics metrics, Consumer<Throwable> failure) {
        this.directory = directory;
        this.metrics = metrics;
        this.failure = failure;
    }

    void start() {
        thread.scheduleWithFixedDelay(
                this::reap, EVERY.toMillis(), EVERY.toMillis(), TimeUnit.MILLISECONDS);
    }

    private void reap() {
        try {
            metrics.reaped(RegionDirectory.reap(directory, GRACE).size());
        } catch (UncheckedIOException e) {
            LOG.warn("regions cannot be reaped: {}", e.getMessage());
        } catch (RuntimeException | Error e) {
            failure.accept(e);
        }
    }

    @Override
    public void close() {
        thread.shutdownNow();
    }
}
