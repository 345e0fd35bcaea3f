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
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;

/**
 * What a checkpoint costs a round in progress: every other round of a whole job over shared memory
 * has one that is asked for when all updates are written and begins some 100 ms later, when part of
 * them is folded; the rest have none.
 */
final class CheckpointBench {

    /** Checkpoints that commit are made by hand, between the rounds. */
    private static final Duration NEVER = Duration.ofHours(1);

    private static final int LOOKS = 50;
    private static final double INTERVAL_SECONDS = 10;

    private final Load load;
    private final Path parent;
    private final List<Integer> with = new ArrayList<>();
    private final List<Integer> without = new ArrayList<>();
    private final List<Double> stateMb = new ArrayList<>();
    private final List<Double> checkpointSeconds = new ArrayList<>();

    /**
     * @param load how many rounds with a checkpoint and how many without
     */
    CheckpointBench(Load load, Path parent) {
        this.load =
                load.run(load.warmUp(), 2 * load.rounds(), NEVER, load.arrivals(), load.publish());
        this.parent = parent;
    }

    List<Figure> run() throws Exception {
        try (WorkDirectory regions = WorkDirectory.create(parent, "bench");
                WorkDirectory work = WorkDirectory.create("bench")) {
            LiveRounds live =
                    LiveRounds.overSharedMemory(
                            load, regions.path(), work.path(), this::checkpoint);
            List<Double> plain = seconds(live, without);
            List<Double> disturbed = seconds(live, with);
            if (plain.isEmpty() || disturbed.isEmpty()) {
                throw new IllegalStateException(
                        "of %d rounds none had a checkpoint while updates were folded, or none had none; measure more of them (--rounds), or larger ones"
                                .formatted(live.seconds().size()));
            }
            double each = Samples.median(disturbed) - Samples.median(plain);
            return List.of(
                    Figure.less("round with a checkpoint in it", "s", disturbed)
                            .beside("round without", plain),
                    Figure.less("checkpoint", "s", checkpointSeconds),
                    Figure.less("its size", "MB", stateMb),
                    Figure.less(
                            "slowdown by one every 10 s",
                            "%",
                            List.of(100 * each / INTERVAL_SECONDS)));
        }
    }

    private List<Double> seconds(LiveRounds live, List<Integer> rounds) {
        return rounds.stream()
                .filter(round -> round > load.warmUp())
                .map(round -> live.seconds().get(round - load.warmUp() - 1))
                .toList();
    }

    private void checkpoint(FlinkRest flink, LiveRounds live)
            throws ExecutionException, InterruptedException {
        String job = flink.jobs().get(0).id();
        int rounds = load.warmUp() + load.rounds();
        for (int round = 1; round <= rounds; round++) {
            boolean undisturbed = commitUntilWritten(flink, job, live, round);
            if (round % 2 == 1) {
                JsonNode checkpoint = details(flink, job, flink.checkpoint(job));
                double mb = checkpoint.path("state_size").asDouble() / 1e6;
                // One that found nothing folded, or all, tells nothing about a round in progress.
                boolean within = mb > 4e-6 * load.params();
                if (undisturbed && within && round > load.warmUp()) {
                    with.add(round);
                    stateMb.add(mb);
                    checkpointSeconds.add(checkpoint.path("end_to_end_duration").asDouble() / 1e3);
                }
            } else if (undisturbed) {
                without.add(round);
            }
            TopProbe.await(round);
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
    private static boolean commitUntilWritten(
            FlinkRest flink, String job, LiveRounds live, int round) throws InterruptedException {
        while (live.begun() < round) {
            flink.checkpoint(job);
            TimeUnit.MILLISECONDS.sleep(20);
        }
        boolean undisturbed = live.written().availablePermits() == 0;
        live.written().acquire();
        return undisturbed;
    }
}
