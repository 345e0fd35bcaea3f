// SPDX-License-Identifier: Apache-2.0

package io.tributary.bench;

import io.tributary.job.graph.WorkDirectory;
import io.tributary.protocol.Json;
import io.tributary.protocol.message.ModelDescription;
import io.tributary.shm.agent.AgentOptions;
import io.tributary.shm.region.JobDirectory;
import io.tributary.shm.region.OwnedRegion;
import io.tributary.shm.region.RegionDirectory;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;

/**
 * A whole job with its trainers and agent in one process, timed from when all trainers have written
 * their updates until the top has the sum.
 */
final class ShmBench {

    /** Rounds before the measured ones: classes are loaded, regions touched. */
    private static final int WARM_UP_ROUNDS = 15;

    private final int params;
    private final int trainers;
    private final int rounds;
    private final int levels;
    private final Path parent;

    ShmBench(int params, int updates, int trainers, int levels, Path parent) {
        this.params = params;
        this.trainers = trainers;
        this.rounds = Math.max(1, updates / trainers);
        this.levels = levels;
        this.parent = parent;
    }

    ShmReport run() throws Exception {
        // First, so that whoever has no compiler hears of it at once.
        Axpy limit = Axpy.compile();
        try (WorkDirectory regions = WorkDirectory.create(parent, "bench");
                WorkDirectory work = WorkDirectory.create("bench")) {
            DescriptorBench.Latency relayed =
                    DescriptorBench.run(AgentOptions.Bpf.OFF, regions.path());
            DescriptorBench.Latency direct =
                    DescriptorBench.run(AgentOptions.Bpf.AUTO, regions.path());
            LiveRounds live = job(regions.path(), work.path());
            List<Double> modelMs = modelMs(regions.path());
            double axpy = axpy(limit, regions.path());
            double gigabytes = 4.0 * params * trainers / 1e9;
            double speed = gigabytes / Samples.median(live.seconds());
            return new ShmReport(
                    "shm",
                    params,
                    rounds * trainers,
                    trainers,
                    levels,
                    speed,
                    axpy,
                    speed / axpy,
                    Samples.median(live.cpuSeconds()) / gigabytes,
                    direct.bpf(),
                    direct.microsP50(),
                    direct.microsP99(),
                    relayed.microsP50(),
                    relayed.microsP99(),
                    direct.microsP50() / relayed.microsP50(),
                    Samples.median(modelMs),
                    live.anonymousMb());
        }
    }

    private LiveRounds job(Path regions, Path work) throws Exception {
        return LiveRounds.overSharedMemory(
                new LiveRounds.Load(
                        params, trainers, levels, WARM_UP_ROUNDS, rounds, Duration.ofSeconds(1)),
                regions,
                work,
                (flink, live) -> {});
    }

    private List<Double> modelMs(Path regions) throws IOException {
        List<Double> all = new ArrayList<>();
        for (String line :
                Files.readAllLines(JobDirectory.of(regions, LiveRounds.JOB).modelLog())) {
            ModelDescription model = Json.decode(line.getBytes(), ModelDescription.class);
            if (model.round() > WARM_UP_ROUNDS) {
                all.add(model.lastUpdateToModelMs());
            }
        }
        return all;
    }

    /** The limit, on updates in regions, by as many threads as the machine has cores. */
    private double axpy(Axpy limit, Path regions) throws Exception {
        int cores = Runtime.getRuntime().availableProcessors();
        RegionDirectory directory = new RegionDirectory(regions.resolve("axpy"), Long.MAX_VALUE);
        List<OwnedRegion> updates = new ArrayList<>();
        try {
            for (int i = 0; i < 4 * cores; i++) {
                updates.add(directory.own(RegionDirectory.unique("u"), 4L * params).orElseThrow());
            }
            return limit.gbPerSecond(
                    updates.stream().map(OwnedRegion::memory).toList(), params, cores);
        } finally {
            updates.forEach(OwnedRegion::delete);
        }
    }
}
