// SPDX-License-Identifier: Apache-2.0

package io.tributary.bench;

import io.tributary.job.graph.WorkDirectory;
import io.tributary.memory.region.OwnedRegion;
import io.tributary.memory.region.RegionDirectory;
import io.tributary.node.agent.AgentOptions;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * A whole job with its trainers and agent in one process, timed from when all trainers have written
 * their updates until the top has the sum.
 */
final class ShmBench {

    private final Load load;
    private final Path parent;

    ShmBench(Load load, Path parent) {
        this.load = load;
        this.parent = parent;
    }

    List<Figure> run() throws Exception {
        // First, so that whoever has no compiler hears of it at once.
        Axpy limit = Axpy.compile();
        try (WorkDirectory regions = WorkDirectory.create(parent, "bench");
                WorkDirectory work = WorkDirectory.create("bench")) {
            List<Figure> figures = new ArrayList<>();
            LiveRounds live =
                    LiveRounds.overSharedMemory(
                            load, regions.path(), work.path(), (flink, rounds) -> {});
            figures.add(
                    Figure.more("shm, end to end", "GB/s", live.gigabytesPerSecond())
                            .beside(Axpy.NAME, axpy(limit, regions.path())));
            figures.add(Figure.less("shm, CPU seconds per GB", "s", live.cpuSecondsPerGigabyte()));
            figures.add(
                    Figure.less(
                            "shm, last of all at once to model file", "ms", live.modelMillis()));
            figures.add(
                    Figure.less("shm, memory besides regions", "MB", List.of(live.anonymousMb())));
            figures.addAll(descriptors(regions.path()));
            return figures;
        }
    }

    /** Without eBPF there is nothing to be compared with the relay. */
    private static List<Figure> descriptors(Path regions) throws Exception {
        DescriptorBench.Latency relayed = DescriptorBench.run(AgentOptions.Bpf.OFF, regions);
        DescriptorBench.Latency direct = DescriptorBench.run(AgentOptions.Bpf.AUTO, regions);
        List<Figure> figures = new ArrayList<>();
        if (direct.bpf()) {
            figures.add(
                    Figure.less("descriptor by eBPF, p50", "µs", List.of(direct.microsP50()))
                            .beside("relayed", List.of(relayed.microsP50())));
            figures.add(
                    Figure.less("descriptor by eBPF, p99", "µs", List.of(direct.microsP99()))
                            .beside("relayed", List.of(relayed.microsP99())));
        } else {
            System.err.println(
                    "tributary: the agent has no eBPF here ('./tributary doctor' says why), so its descriptors are relayed and are not compared");
            figures.add(Figure.less("descriptor relayed, p50", "µs", List.of(relayed.microsP50())));
            figures.add(Figure.less("descriptor relayed, p99", "µs", List.of(relayed.microsP99())));
        }
        return figures;
    }

    /** The limit, on updates in regions, by as many threads as the machine has cores. */
    private List<Double> axpy(Axpy limit, Path regions) throws Exception {
        int cores = Runtime.getRuntime().availableProcessors();
        RegionDirectory directory = new RegionDirectory(regions.resolve("axpy"), Long.MAX_VALUE);
        List<OwnedRegion> updates = new ArrayList<>();
        try {
            for (int i = 0; i < 4 * cores; i++) {
                updates.add(
                        directory
                                .own(RegionDirectory.unique("u"), 4L * load.params())
                                .orElseThrow());
            }
            return limit.gbPerSecond(
                    updates.stream().map(OwnedRegion::memory).toList(), load.params(), cores);
        } finally {
            updates.forEach(OwnedRegion::delete);
        }
    }
}
