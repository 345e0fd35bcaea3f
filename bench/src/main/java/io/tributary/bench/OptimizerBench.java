// SPDX-License-Identifier: Apache-2.0

package io.tributary.bench;

import io.tributary.job.graph.WorkDirectory;
import io.tributary.operators.optimizer.Algorithm;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;

/**
 * A whole job over shared memory with FedAdam, which makes a step of each element of the model,
 * beside the same with FedAvg, which only divides.
 */
final class OptimizerBench {

    private final Load load;
    private final Path parent;

    OptimizerBench(Load load, Path parent) {
        this.load = load;
        this.parent = parent;
    }

    List<Figure> run() throws Exception {
        LiveRounds mean = rounds(Algorithm.FEDAVG);
        LiveRounds adam = rounds(Algorithm.named("fedadam", Map.of()));
        return List.of(
                Figure.more("fedadam, end to end", "GB/s", adam.gigabytesPerSecond())
                        .beside("fedavg", mean.gigabytesPerSecond()),
                Figure.less("fedadam, last of all at once to model file", "ms", adam.modelMillis())
                        .beside("fedavg", mean.modelMillis()));
    }

    private LiveRounds rounds(Algorithm algorithm) throws Exception {
        try (WorkDirectory regions = WorkDirectory.create(parent, "bench");
                WorkDirectory work = WorkDirectory.create("bench")) {
            return LiveRounds.overSharedMemory(
                    load.by(algorithm), regions.path(), work.path(), (flink, rounds) -> {});
        }
    }
}
