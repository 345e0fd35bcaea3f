// SPDX-License-Identifier: Apache-2.0

package io.tributary.testbed.chaos;

import com.fasterxml.jackson.databind.JsonNode;
import io.tributary.job.cluster.ClusterUnavailableException;
import io.tributary.job.cluster.FlinkRest;
import io.tributary.job.cluster.FlinkRestException;
import java.util.OptionalLong;

/**
 * Measures how long a job takes to go on after a task manager was killed. Times are those at which
 * tasks ran and statuses came, not those at which somebody looked: Flink's REST API shows a job as
 * it was up to 3 s ago.
 */
final class Recovery {

    private static final long LOOK_MILLIS = 200;

    private final FlinkRest rest;
    private final String name;
    private final Progress progress;
    private final long killed = System.currentTimeMillis();
    private volatile boolean ended;
    private volatile boolean struck;
    private volatile long running;
    private volatile long wentOn;

    private Recovery(FlinkRest rest, String name, Progress progress) {
        this.rest = rest;
        this.name = name;
        this.progress = progress;
    }

    /** The task manager has just been killed. */
    static Recovery watch(FlinkRest rest, String name, Progress progress) {
        Recovery recovery = new Recovery(rest, name, progress);
        Thread watch = new Thread(recovery::watch, "recovery");
        watch.setDaemon(true);
        watch.start();
        return recovery;
    }

    /** Something else is being killed: what happens from now on says nothing. */
    void end() {
        ended = true;
    }

    private void watch() {
        try {
            while (!ended && wentOn == 0) {
                OptionalLong all = runningSince();
                struck |= all.isEmpty();
                if (all.isPresent() && all.getAsLong() > killed) {
                    running = all.getAsLong();
                    wentOn = progress.stepSince(running).orElse(0);
                }
                Thread.sleep(LOOK_MILLIS);
            }
        } catch (InterruptedException
                | ClusterUnavailableException
                | FlinkRestException
                | IllegalStateException e) {
            // The job manager is gone too.
        }
    }

    /** When the last of all tasks began to run, in ms since 1970; empty while one does not. */
    private OptionalLong runningSince() {
        String job =
                rest.jobs().stream()
                        .filter(j -> j.live() && j.name().equals(name))
                        .findFirst()
                        .map(j -> "/jobs/" + j.id())
                        .orElseThrow(() -> new IllegalStateException("no job named " + name));
        long since = 0;
        for (JsonNode vertex : rest.get(job).path("vertices")) {
            String path = job + "/vertices/" + vertex.path("id").asText();
            JsonNode tasks = vertex.path("tasks");
            int running = tasks.path("RUNNING").asInt() + tasks.path("FINISHED").asInt();
            if (running < vertex.path("parallelism").asInt()) {
                return OptionalLong.empty();
            }
            for (JsonNode task : rest.get(path + "/subtasktimes").path("subtasks")) {
                since = Math.max(since, task.path("timestamps").path("RUNNING").asLong());
            }
        }
        return OptionalLong.of(since);
    }

    /** Whether the job had to recover, and had not when something else was killed. */
    boolean cutOff() {
        return struck && !complete();
    }

    boolean complete() {
        return wentOn > 0;
    }

    double seconds() {
        return (wentOn - killed) / 1e3;
    }

    double beyondFlinkSeconds() {
        return (wentOn - running) / 1e3;
    }
}
