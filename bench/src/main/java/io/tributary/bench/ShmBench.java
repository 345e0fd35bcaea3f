// SPDX-License-Identifier: Apache-2.0

package io.tributary.bench;

import com.sun.management.OperatingSystemMXBean;
import io.tributary.job.demo.EmbeddedBroker;
import io.tributary.job.graph.AggregationGraph;
import io.tributary.job.graph.FederationJob;
import io.tributary.job.graph.LocalFlink;
import io.tributary.job.graph.Publish;
import io.tributary.job.graph.ShmTransport;
import io.tributary.job.graph.TreeSchemas;
import io.tributary.job.graph.WorkDirectory;
import io.tributary.operators.aggregate.FloatKernel;
import io.tributary.operators.aggregate.FloatKernel.Weighted;
import io.tributary.operators.coordinator.RoundRules;
import io.tributary.operators.model.ModelSpec;
import io.tributary.protocol.Json;
import io.tributary.protocol.message.ModelDescription;
import io.tributary.protocol.message.Receipt;
import io.tributary.protocol.message.UpdateKind;
import io.tributary.protocol.tensor.DType;
import io.tributary.protocol.tensor.SafetensorsHeader;
import io.tributary.shm.agent.AgentOptions;
import io.tributary.shm.agent.NodeAgent;
import io.tributary.shm.region.JobDirectory;
import io.tributary.shm.region.OwnedRegion;
import io.tributary.shm.region.RegionDirectory;
import io.tributary.trainer.ModelUpdate;
import io.tributary.trainer.TrainerClient;
import io.tributary.trainer.TrainingRound;
import io.tributary.trainer.Transport;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.apache.flink.configuration.CheckpointingOptions;
import org.apache.flink.configuration.Configuration;

/**
 * A whole job with its trainers and agent in one process, timed from when all trainers have written
 * their updates until the top has the sum.
 */
final class ShmBench {

    private static final String JOB = "bench";
    private static final Duration PATIENCE = Duration.ofMinutes(5);
    private static final List<String> GROUPS = List.of("a", "b", "c");

    /** Rounds before the measured ones: classes are loaded, regions touched. */
    private static final int WARM_UP_ROUNDS = 15;

    /** The largest tensor that a trainer can write in one piece is 256 MiB. */
    private static final int TENSOR = 1 << 24;

    private final int params;
    private final int trainers;
    private final int rounds;
    private final int levels;
    private final Path parent;
    private final OperatingSystemMXBean system =
            (OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();
    private final List<Double> seconds = new ArrayList<>();
    private final List<Double> cpuSeconds = new ArrayList<>();
    private double anonymousMb;
    private long writtenNanos;
    private long writtenCpu;

    ShmBench(int params, int updates, int trainers, int levels, Path parent) {
        this.params = params;
        this.trainers = trainers;
        this.rounds = Math.max(1, updates / trainers);
        this.levels = levels;
        this.parent = parent;
    }

    ShmReport run() throws Exception {
        try (WorkDirectory regions = WorkDirectory.create(parent, "bench");
                WorkDirectory work = WorkDirectory.create("bench")) {
            DescriptorBench.Latency relayed =
                    DescriptorBench.run(AgentOptions.Bpf.OFF, regions.path());
            DescriptorBench.Latency direct =
                    DescriptorBench.run(AgentOptions.Bpf.AUTO, regions.path());
            job(regions.path(), work.path());
            List<Double> modelMs = modelMs(regions.path());
            double axpy = axpy(regions.path());
            double gigabytes = 4.0 * params * trainers / 1e9;
            double speed = gigabytes / Samples.median(seconds);
            return new ShmReport(
                    "shm",
                    params,
                    rounds * trainers,
                    trainers,
                    levels,
                    speed,
                    axpy,
                    speed / axpy,
                    Samples.median(cpuSeconds) / gigabytes,
                    direct.bpf(),
                    direct.microsP50(),
                    direct.microsP99(),
                    relayed.microsP50(),
                    relayed.microsP99(),
                    direct.microsP50() / relayed.microsP50(),
                    Samples.median(modelMs),
                    anonymousMb);
        }
    }

    private void job(Path regions, Path work) throws Exception {
        int port = EmbeddedBroker.freePort();
        int user = (int) Files.getAttribute(regions, "unix:uid");
        Path model = model(work.resolve("model-0.safetensors"));
        long quota = 2L * trainers * (4L * params + 8192) + 32L * params + (64 << 20);
        ExecutorService threads = Executors.newFixedThreadPool(trainers);
        try (NodeAgent agent =
                        NodeAgent.start(
                                new AgentOptions(
                                        port, AgentOptions.Bpf.AUTO, regions, Set.of(user)));
                LocalFlink flink = LocalFlink.start(Optional.empty(), work)) {
            Configuration configuration = new Configuration();
            configuration.set(CheckpointingOptions.CHECKPOINTING_INTERVAL, Duration.ofSeconds(1));
            flink.environment().configure(configuration);
            String models = regions.toString();
            AggregationGraph graph =
                    new AggregationGraph(
                            JOB,
                            JOB,
                            TreeSchemas.of(levels, GROUPS, 1),
                            new RoundRules(
                                    WARM_UP_ROUNDS + rounds,
                                    trainers,
                                    trainers,
                                    Duration.ZERO,
                                    Duration.ZERO,
                                    Duration.ofHours(1),
                                    RoundRules.Timing.EAGER,
                                    UpdateKind.WEIGHTS,
                                    Map.of()),
                            new ModelSpec(
                                    model.toString(),
                                    ModelSpec.DEFAULT_SHARD_ELEMENTS,
                                    UpdateKind.WEIGHTS),
                            round -> Path.of(models, "model-next.safetensors"));
            ShmTransport transport = new ShmTransport(regions.toString(), quota, port);
            int shards = graph.model().layout().shards();
            TopProbe.reset(shards);
            new FederationJob(graph, transport, Publish.COMMITTED)
                    .build(flink.environment(), shard -> TopProbe.shard(shard.round().round()));
            flink.submit(JOB);
            List<Callable<Void>> all = new ArrayList<>();
            CyclicBarrier written = new CyclicBarrier(trainers, this::started);
            CyclicBarrier done = new CyclicBarrier(trainers);
            List<String> tags = graph.topology().trainerGroups();
            for (int i = 0; i < trainers; i++) {
                int trainer = i;
                String group = tags.get(i % tags.size());
                all.add(() -> train(trainer, group, regions, port, written, done));
            }
            for (Future<Void> future : threads.invokeAll(all)) {
                future.get();
            }
            flink.check();
        } finally {
            threads.shutdownNow();
        }
    }

    private Void train(
            int trainer,
            String group,
            Path regions,
            int port,
            CyclicBarrier written,
            CyclicBarrier done)
            throws Exception {
        float[] values = new float[Math.min(params, 1 << 16)];
        for (int i = 0; i < values.length; i++) {
            values[i] = (i + trainer) % 1000 * 1e-3f;
        }
        try (TrainerClient client =
                TrainerClient.builder()
                        .job(JOB)
                        .id("t-" + trainer)
                        .group(group)
                        .transport(Transport.shm(regions, port))
                        .connect()) {
            client.join();
            Optional<TrainingRound> round = client.awaitRound(PATIENCE);
            while (round.isPresent()) {
                ModelUpdate update = round.get().newUpdate().samples(1 + trainer);
                round.get()
                        .header()
                        .tensors()
                        .forEach(tensor -> fill(update.floats(tensor.name()), values));
                written.await();
                Receipt receipt = client.send(update);
                if (receipt.status() != Receipt.Status.COMMITTED) {
                    throw new IllegalStateException(receipt.toString());
                }
                done.await();
                if (trainer == 0) {
                    finished(round.get().id().round());
                }
                round = client.awaitRound(PATIENCE);
            }
        }
        return null;
    }

    private static void fill(FloatBuffer floats, float[] values) {
        while (floats.hasRemaining()) {
            floats.put(values, 0, Math.min(values.length, floats.remaining()));
        }
    }

    /** All have written; from here on it counts. */
    private void started() {
        writtenNanos = System.nanoTime();
        writtenCpu = system.getProcessCpuTime();
    }

    private void finished(int round) throws IOException, InterruptedException {
        TopProbe.End end = TopProbe.await(round);
        anonymousMb = Math.max(anonymousMb, Samples.anonymousMb());
        if (round > WARM_UP_ROUNDS) {
            seconds.add((end.nanos() - writtenNanos) / 1e9);
            cpuSeconds.add((end.cpuNanos() - writtenCpu) / 1e9);
        }
    }

    private Path model(Path file) throws IOException {
        List<io.tributary.protocol.tensor.TensorInfo> tensors = new ArrayList<>();
        for (int at = 0; at < params; at += TENSOR) {
            tensors.add(
                    SafetensorsHeader.tensor(
                            "w%03d".formatted(tensors.size()),
                            DType.F32,
                            Math.min(TENSOR, params - at)));
        }
        SafetensorsHeader header = SafetensorsHeader.create(tensors, Map.of());
        try (FileChannel channel =
                FileChannel.open(file, StandardOpenOption.CREATE, StandardOpenOption.WRITE)) {
            channel.write(ByteBuffer.wrap(header.bytes()));
            channel.write(ByteBuffer.allocate(1), header.fileLength() - 1);
        }
        return file;
    }

    private List<Double> modelMs(Path regions) throws IOException {
        List<Double> all = new ArrayList<>();
        for (String line : Files.readAllLines(JobDirectory.of(regions, JOB).modelLog())) {
            ModelDescription model = Json.decode(line.getBytes(), ModelDescription.class);
            if (model.round() > WARM_UP_ROUNDS) {
                all.add(model.lastUpdateToModelMs());
            }
        }
        return all;
    }

    /** Axpy on updates in regions by as many threads as the machine has cores, in GB/s. */
    private double axpy(Path regions) throws Exception {
        int cores = Runtime.getRuntime().availableProcessors();
        RegionDirectory directory = new RegionDirectory(regions.resolve("axpy"), Long.MAX_VALUE);
        List<OwnedRegion> updates = new ArrayList<>();
        for (int i = 0; i < 4 * cores; i++) {
            updates.add(directory.own(RegionDirectory.unique("u"), 4L * params).orElseThrow());
        }
        ExecutorService threads = Executors.newFixedThreadPool(cores);
        List<Double> speeds = new ArrayList<>();
        try {
            List<ByteBuffer> sums = new ArrayList<>();
            for (int core = 0; core < cores; core++) {
                sums.add(ByteBuffer.allocateDirect(4 * params).order(ByteOrder.nativeOrder()));
            }
            for (int repeat = 0; repeat < 12; repeat++) {
                long start = System.nanoTime();
                List<Callable<Void>> all = new ArrayList<>();
                for (int core = 0; core < cores; core++) {
                    int mine = core;
                    all.add(
                            () -> {
                                for (int u = mine; u < updates.size(); u += cores) {
                                    add(updates.get(u), sums.get(mine));
                                }
                                return null;
                            });
                }
                for (Future<Void> future : threads.invokeAll(all)) {
                    future.get();
                }
                if (repeat >= 2) {
                    speeds.add(4.0 * params * updates.size() / (System.nanoTime() - start));
                }
            }
        } finally {
            threads.shutdownNow();
            updates.forEach(OwnedRegion::delete);
        }
        return Samples.median(speeds);
    }

    private void add(OwnedRegion update, ByteBuffer sum) {
        long from = FloatKernel.address(update.memory().slice(0, 4 * params));
        FloatKernel.fold(
                new Weighted[] {new Weighted(from, 1.5f)}, FloatKernel.address(sum), params);
    }
}
