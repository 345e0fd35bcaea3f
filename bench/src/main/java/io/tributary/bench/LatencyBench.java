// SPDX-License-Identifier: Apache-2.0

package io.tributary.bench;

import io.tributary.bench.Load.Arrivals;
import io.tributary.job.graph.Publish;
import io.tributary.job.graph.WorkDirectory;
import io.tributary.memory.region.JobDirectory;
import io.tributary.protocol.Json;
import io.tributary.protocol.message.ModelDescription;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;

/**
 * How long the last update of a round takes over shared memory when updates come spread over 2 s,
 * to the model that trainers map and to its receipt; and what a round takes when trainers write
 * their updates in its time.
 */
final class LatencyBench {

    private static final Duration SHORT = Duration.ofMillis(200);
    private static final long LOOK_MICROS = 200;

    private final Load load;
    private final Path parent;

    LatencyBench(Load load, Path parent) {
        this.load = load;
        this.parent = parent;
    }

    List<Figure> run() throws Exception {
        List<Figure> figures = new ArrayList<>();
        // First, for its rounds are short: they load and compile what the others use too.
        LiveRounds writing =
                job(
                        load.run(
                                4 * load.warmUp(),
                                load.rounds(),
                                load.checkpoints(),
                                Arrivals.WRITTEN_IN_TIME,
                                Publish.COMMITTED),
                        (directory, live) -> {});
        figures.add(Figure.more("written in the time", "GB/s", writing.gigabytesPerSecond()));
        figures.add(
                Figure.less(
                        "written in the time, CPU seconds per GB",
                        "s",
                        writing.cpuSecondsPerGigabyte()));
        List<Double> millis = new ArrayList<>();
        LiveRounds immediate =
                job(
                        spread(load.checkpoints(), Publish.IMMEDIATE),
                        (directory, live) -> watch(directory, live, millis));
        figures.add(
                Figure.less("spread over 2 s, last to model file", "ms", immediate.modelMillis()));
        figures.add(Figure.less("spread over 2 s, last to trainers' model", "ms", millis));
        figures.add(
                Figure.less(
                        "spread over 2 s, CPU seconds per GB",
                        "s",
                        immediate.cpuSecondsPerGigabyte()));
        LiveRounds committed = job(spread(SHORT, Publish.COMMITTED), (directory, live) -> {});
        figures.add(
                Figure.less(
                        "checkpoint every 200 ms, last to receipt",
                        "ms",
                        committed.receiptMillis()));
        return figures;
    }

    private Load spread(Duration checkpoints, Publish publish) {
        return load.run(load.warmUp(), load.rounds(), checkpoints, Arrivals.SPREAD, publish);
    }

    @FunctionalInterface
    private interface Watch {
        void over(JobDirectory directory, LiveRounds live) throws Exception;
    }

    private LiveRounds job(Load its, Watch watch) throws Exception {
        try (WorkDirectory regions = WorkDirectory.create(parent, "bench");
                WorkDirectory work = WorkDirectory.create("bench")) {
            JobDirectory directory = JobDirectory.of(regions.path(), LiveRounds.JOB);
            return LiveRounds.overSharedMemory(
                    its, regions.path(), work.path(), (flink, live) -> watch.over(directory, live));
        }
    }

    /** How long each measured round's last update took to a model that trainers can map. */
    private void watch(JobDirectory directory, LiveRounds live, List<Double> millis)
            throws IOException, InterruptedException {
        for (int round = 1; round <= load.warmUp() + load.rounds(); round++) {
            while (live.lastSent(round).isEmpty()) {
                TimeUnit.MILLISECONDS.sleep(1);
            }
            while (newest(directory.modelLog()) < round) {
                TimeUnit.MICROSECONDS.sleep(LOOK_MICROS);
            }
            if (round > load.warmUp()) {
                millis.add((System.nanoTime() - live.lastSent(round).orElseThrow()) / 1e6);
            }
        }
    }

    /** The round of the log's last line. */
    private static int newest(Path log) throws IOException {
        List<String> lines = Files.exists(log) ? Files.readAllLines(log) : List.of();
        return lines.isEmpty()
                ? 0
                : Json.decode(lines.get(lines.size() - 1).getBytes(), ModelDescription.class)
                        .round();
    }
}
