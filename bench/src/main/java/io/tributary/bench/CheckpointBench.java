// SPDX-License-Identifier: Apache-2.0

package io.tributary.bench;

import com.fasterxml.jackson.databind.JsonNode;
import io.tributary.job.cluster.FlinkRest;
import io.tributary.job.cluster.FlinkRestException;
import io.tributary.job.graph.WorkDirectory;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;

/**
 * What a checkpoint costs a round in progress: every other round of a whole job over shared memory
 * has one that begins when a third is folded, the rest have none.
 */
final class CheckpointBench {

    private static final int WARM_UP_ROUNDS = 4;

    /** Checkpoints that commit are made by hand, between the rounds. */
    private static final Duration NEVER = Duration.ofHours(1);

    private static final int LOOKS = 50;
    private static final double INTERVAL_SECONDS = 10;

    private final LiveRounds.Load load;
    private final Path parent;
    private final List<Integer> with = new ArrayList<>();
    private final List<Integer> without = new ArrayList<>();
    private final List<Double> stateMb = new ArrayList<>();
    private final List<Double> checkpointSeconds = new ArrayList<>();

    /**
     * What {@code bench --path checkpoint} found, medians.
     *
     * @param path checkpoint
     * @param params float32 parameters of an update
     * @param updates updates in a round
     * @param levels tiers of the tree, trainers included
     * @param rounds those measured with a checkpoint
     * @param roundSeconds of a round without one, from when all have written until the sum is there
     * @param roundWithCheckpointSeconds of a round with one that begins when a third is folded
     * @param checkpointSeconds from that checkpoint's trigger to its completion
     * @param stateMb its size
     * @param slowdown how much longer folding takes with a checkpoint every 10 s: the seconds that
     *     one costs, in 10 s
     */
    record Report(
            String path,
            int params,
            int updates,
            int levels,
            int rounds,
            double roundSeconds,
            double roundWithCheckpointSeconds,
            double checkpointSeconds,
            double stateMb,
            double slowdown) {}

    CheckpointBench(int params, int trainers, int levels, int rounds, Path parent) {
        this.load =
                new LiveRounds.Load(params, trainers, levels, WARM_UP_ROUNDS, 2 * rounds, NEVER);
        this.parent = parent;
    }

    Report run() throws Exception {
        try (WorkDirectory regions = WorkDirectory.create(parent, "bench");
                WorkDirectory work = WorkDirectory.create("bench")) {
            LiveRounds live =
                    LiveRounds.overSharedMemory(
                            load, regions.path(), work.path(), this::checkpoint);
            double plain = seconds(live, without);
            double disturbed = seconds(live, with);
            return new Report(
                    "checkpoint",
                    load.params(),
                    load.trainers(),
                    load.levels(),
                    with.size(),
                    plain,
                    disturbed,
                    Samples.median(checkpointSeconds),
                    Samples.median(stateMb),
                    (disturbed - plain) / INTERVAL_SECONDS);
        }
    }

    private double seconds(LiveRounds live, List<Integer> rounds) {
        return Samples.median(
                rounds.stream()
                        .filter(round -> round > WARM_UP_ROUNDS)
                        .map(round -> live.seconds().get(round - WARM_UP_ROUNDS - 1))
                        .toList());
    }

    private void checkpoint(FlinkRest flink, LiveRounds live) throws InterruptedException {
        String job = flink.jobs().get(0).id();
        int rounds = load.warmUp() + load.rounds();
        long third = 0;
        for (int round = 1; round <= rounds; round++) {
            boolean undisturbed = commitUntilWritten(flink, job, live);
            long start = System.nanoTime();
            if (round % 2 == 1) {
                // Nothing is in the sums at first, and at the end nothing would be slowed down.
                TimeUnit.NANOSECONDS.sleep(third);
                JsonNode checkpoint = details(flink, job, flink.checkpoint(job));
                if (undisturbed && round > WARM_UP_ROUNDS) {
                    with.add(round);
                    stateMb.add(checkpoint.path("state_size").asDouble() / 1e6);
                    checkpointSeconds.add(checkpoint.path("end_to_end_duration").asDouble() / 1e3);
                }
            } else if (undisturbed) {
                without.add(round);
            }
            long nanos = TopProbe.await(round).nanos() - start;
            third = round % 2 == 0 ? nanos / 3 : third;
        }
        flink.checkpoint(job);
    }

    /** Flink shows a checkpoint some seconds after it is complete. */
    private static JsonNode details(FlinkRest flink, String job, long checkpoint)
            throws InterruptedException {
        String path = "/jobs/%s/checkpoints/details/%d".formatted(job, checkpoint);
        for (int look = 1; ; look++) {
            try {
                return flink.get(path);
            } catch (FlinkRestException e) {
                if (look == LOOKS) {
                    throw e;
                }
                TimeUnit.MILLISECONDS.sleep(200);
            }
        }
    }

    /** Whether none of these checkpoints reached into the next round. */
    private static boolean commitUntilWritten(FlinkRest flink, String job, LiveRounds live)
            throws InterruptedException {
        while (!live.written().tryAcquire(1, TimeUnit.SECONDS)) {
            flink.checkpoint(job);
            if (live.written().tryAcquire()) {
                return false;
            }
        }
        return true;
    }
}
