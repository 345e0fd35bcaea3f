// SPDX-License-Identifier: Apache-2.0

package io.tributary.job.chaos;

import com.fasterxml.jackson.databind.JsonNode;
import io.tributary.job.cluster.ClusterUnavailableException;
import io.tributary.job.cluster.FlinkRest;
import io.tributary.job.cluster.FlinkRestException;

/** Measures how long a job takes to go on after a task manager was killed. */
final class Recovery {

    private static final long LOOK_MILLIS = 20;
    private static final long LONGEST_NANOS = 60_000_000_000L;

    private final FlinkRest rest;
    private final String name;
    private final Chaos.Progress progress;
    private long killed;
    private volatile long running;
    private volatile long wentOn;

    Recovery(FlinkRest rest, String name, Chaos.Progress progress) {
        this.rest = rest;
        this.name = name;
        this.progress = progress;
    }

    /** The task manager has just been killed. */
    void begin() {
        killed = System.nanoTime();
        Thread watch = new Thread(this::watch, "recovery");
        watch.setDaemon(true);
        watch.start();
    }

    private void watch() {
        try {
            await(() -> !allRun());
            await(this::allRun);
            running = System.nanoTime();
            long before = progress.changes();
            await(() -> progress.changes() != before);
            wentOn = System.nanoTime();
        } catch (InterruptedException | IllegalStateException e) {
            // Something else was killed meanwhile; this recovery says nothing.
        }
    }

    @FunctionalInterface
    private interface Condition {
        boolean holds();
    }

    private void await(Condition condition) throws InterruptedException {
        while (!condition.holds()) {
            if (System.nanoTime() - killed > LONGEST_NANOS) {
                throw new IllegalStateException("too long");
            }
            Thread.sleep(LOOK_MILLIS);
        }
    }

    /** Whether all tasks run, but for those that have done their work. */
    private boolean allRun() {
        try {
            FlinkRest.Job job =
                    rest.jobs().stream()
                            .filter(j -> j.live() && j.name().equals(name))
                            .findFirst()
                            .orElseThrow(() -> new IllegalStateException("no job"));
            JsonNode vertices = rest.get("/jobs/" + job.id()).path("vertices");
            for (JsonNode vertex : vertices) {
                JsonNode tasks = vertex.path("tasks");
                int all = vertex.path("parallelism").asInt();
                if (tasks.path("RUNNING").asInt() + tasks.path("FINISHED").asInt() < all) {
                    return false;
                }
            }
            return job.state().equals("RUNNING");
        } catch (ClusterUnavailableException | FlinkRestException e) {
            throw new IllegalStateException(e);
        }
    }

    boolean complete() {
        return wentOn > 0;
    }

    double seconds() {
        return (wentOn - killed) / 1e9;
    }

    double beyondFlinkSeconds() {
        return (wentOn - running) / 1e9;
    }
}
