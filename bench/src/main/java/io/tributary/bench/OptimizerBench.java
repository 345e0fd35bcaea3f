// SPDX-License-Identifier: Apache-2.0

package io.tributary.bench;

import io.tributary.job.graph.WorkDirectory;
import io.tributary.operators.optimizer.Algorithm;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.function.Function;

/**
 * A whole job over shared memory with FedAdam, which makes a step of each element of the model,
 * beside the same with FedAvg, which only divides. They take turns, so that both meet a machine
 * that is faster at one time than at another.
 */
final class OptimizerBench {

    private final Load load;
    private final Path parent;

    private final int turns;

    /**
     * @param turns of each of both
     */
    OptimizerBench(Load load, Path parent, int turns) {
        this.load = load;
        this.parent = parent;
        this.turns = turns;
    }

    List<Figure> run() throws Exception {
        List<LiveRounds> means = new ArrayList<>();
        List<LiveRounds> adams = new ArrayList<>();
        for (int turn = 0; turn < turns; turn++) {
            means.add(rounds(Algorithm.FEDAVG));
            adams.add(rounds(Algorithm.named("fedadam", Map.of())));
        }
        return List.of(
                Figure.more(
                                "fedadam, end to end",
                                "GB/s",
                                all(adams, LiveRounds::gigabytesPerSecond))
                        .beside("fedavg", all(means, LiveRounds::gigabytesPerSecond)),
                Figure.less(
                                "fedadam, CPU seconds per GB",
                                "s",
                                all(adams, LiveRounds::cpuSecondsPerGigabyte))
                        .beside("fedavg", all(means, LiveRounds::cpuSecondsPerGigabyte)),
                Figure.less(
                                "fedadam, last of all at once to model file",
                                "ms",
                                all(adams, LiveRounds::modelMillis))
                        .beside("fedavg", all(means, LiveRounds::modelMillis)));
    }

    private static List<Double> all(
            List<LiveRounds> turns, Function<LiveRounds, List<Double>> measured) {
        return turns.stream().flatMap(turn -> measured.apply(turn).stream()).toList();
    }

    private LiveRounds rounds(Algorithm algorithm) throws Exception {
        try (WorkDirectory regions = WorkDirectory.create(parent, "bench");
                WorkDirectory work = WorkDirectory.create("bench")) {
            return LiveRounds.overSharedMemory(
                    load.by(algorithm), regions.path(), work.path(), (flink, rounds) -> {});
        }
    }
}
