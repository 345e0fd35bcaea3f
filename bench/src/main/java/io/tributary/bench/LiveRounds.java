// SPDX-License-Identifier: Apache-2.0

package io.tributary.bench;

import com.sun.management.OperatingSystemMXBean;
import io.tributary.job.cluster.FlinkRest;
import io.tributary.job.graph.AggregationGraph;
import io.tributary.job.graph.FederationJob;
import io.tributary.job.graph.JobTransport;
import io.tributary.job.graph.LocalFlink;
import io.tributary.job.graph.ShmTransport;
import io.tributary.job.graph.TreeSchemas;
import io.tributary.memory.region.JobDirectory;
import io.tributary.node.PayloadStore;
import io.tributary.node.agent.AgentOptions;
import io.tributary.node.agent.FreePorts;
import io.tributary.node.agent.NodeAgent;
import io.tributary.operators.coordinator.RoundRules;
import io.tributary.operators.coordinator.Surroundings;
import io.tributary.operators.model.ModelSpec;
import io.tributary.operators.model.PosixModelStore;
import io.tributary.protocol.Json;
import io.tributary.protocol.message.ModelDescription;
import io.tributary.protocol.message.Receipt;
import io.tributary.protocol.message.Run;
import io.tributary.protocol.message.UpdateKind;
import io.tributary.protocol.tensor.DType;
import io.tributary.protocol.tensor.SafetensorsHeader;
import io.tributary.trainer.ModelUpdate;
import io.tributary.trainer.TrainerClient;
import io.tributary.trainer.TrainerTransport;
import io.tributary.trainer.TrainingRound;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.net.URI;
import java.nio.ByteBuffer;
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
import java.util.concurrent.Callable;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import java.util.stream.IntStream;
import org.apache.flink.configuration.CheckpointingOptions;
import org.apache.flink.configuration.Configuration;

/**
 * A whole job with its trainers in this process, timed from when all trainers have written their
 * updates until the top has the sum.
 */
final class LiveRounds {

    static final String JOB = "bench";
    private static final Duration SPREAD = Duration.ofSeconds(2);
    private static final Duration PATIENCE = Duration.ofMinutes(5);
    private static final List<String> GROUPS = List.of("a", "b", "c");

    /** Enough to tell one trainer's values from another's. */
    static final int MAX_VALUES = 1 << 16;

    /** The largest tensor that a trainer can write in one piece is 256 MiB. */
    private static final int TENSOR = 1 << 24;

    private final Load load;
    private final JobTransport transport;
    private final TrainerTransport trainerTransport;
    private final OperatingSystemMXBean system =
            (OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();
    private final List<Double> seconds = new ArrayList<>();
    private final List<Double> cpuSeconds = new ArrayList<>();
    private final Semaphore written = new Semaphore(0);
    private final List<Long> beginNanos = new ArrayList<>();
    private final List<Double> receiptMillis = new ArrayList<>();
    private final Map<Integer, Long> lastSent = new ConcurrentHashMap<>();
    private final List<Double> modelMillis = new ArrayList<>();
    private double anonymousMb;
    private volatile long writtenNanos;
    private volatile int begun;
    private long writtenCpu;

    /** Something that happens beside the rounds, in a thread of its own. */
    @FunctionalInterface
    interface Beside {
        /** Returns at the latest when the rounds are over. */
        void run(FlinkRest flink, LiveRounds rounds) throws Exception;
    }

    LiveRounds(Load load, JobTransport transport, TrainerTransport trainerTransport) {
        this.load = load;
        this.transport = transport;
        this.trainerTransport = trainerTransport;
    }

    /** Runs rounds over shared memory, with an agent of their own. */
    static LiveRounds overSharedMemory(Load load, Path regions, Path work, Beside beside)
            throws Exception {
        int port = FreePorts.next(2);
        long quota =
                2L * load.trainers() * (4L * load.params() + 8192)
                        + 32L * load.params()
                        + (64 << 20);
        try (NodeAgent agent =
                NodeAgent.start(new AgentOptions(port, AgentOptions.Bpf.AUTO, regions))) {
            LiveRounds live =
                    new LiveRounds(
                            load,
                            new ShmTransport(
                                    new PayloadStore.Place(regions.toString()), quota, port),
                            TrainerTransport.shm(regions, port));
            live.run(work, regions, beside);
            live.readModelLog(JobDirectory.of(regions, JOB).modelLog());
            return live;
        }
    }

    /** Has a permit more each time that all trainers have written their updates. */
    Semaphore written() {
        return written;
    }

    /** The newest round of which a trainer has the model; 0 before the first. */
    int begun() {
        return begun;
    }

    /** Seconds of each measured round. */
    List<Double> seconds() {
        return seconds;
    }

    /** GB of updates a second in each measured round. */
    List<Double> gigabytesPerSecond() {
        return seconds.stream().map(s -> load.gigabytes() / s).toList();
    }

    /** From when a trainer has a round's model until it has the next one's, measured rounds. */
    List<Double> wholeSeconds() {
        return IntStream.range(load.warmUp(), beginNanos.size() - 1)
                .mapToObj(round -> (beginNanos.get(round + 1) - beginNanos.get(round)) / 1e9)
                .toList();
    }

    /** CPU seconds of this process for each GB of updates in each measured round. */
    List<Double> cpuSecondsPerGigabyte() {
        return cpuSeconds.stream().map(s -> s / load.gigabytes()).toList();
    }

    /**
     * From the arrival of the last update at the coordinator to the model's file, in each measured
     * round, ms; over shared memory alone.
     */
    List<Double> modelMillis() {
        return modelMillis;
    }

    private void readModelLog(Path log) throws IOException {
        for (String line : Files.readAllLines(log)) {
            ModelDescription model = Json.decode(line.getBytes(), ModelDescription.class);
            if (model.round() > load.warmUp()) {
                modelMillis.add(model.lastUpdateToModelMs());
            }
        }
    }

    /** From the last update's being sent to its receipt, in each measured round, ms. */
    List<Double> receiptMillis() {
        return receiptMillis;
    }

    /** When a round's last update was sent, {@link System#nanoTime}; empty before. */
    Optional<Long> lastSent(int round) {
        return Optional.ofNullable(lastSent.get(round));
    }

    /** Memory besides mapped files at its highest, in MB. */
    double anonymousMb() {
        return anonymousMb;
    }

    /**
     * Runs it.
     *
     * @param work for checkpoints and the initial model
     * @param models where models are written, always into the same file
     * @param beside what happens beside the rounds
     */
    void run(Path work, Path models, Beside beside) throws Exception {
        Path model = model(work.resolve("model-0.safetensors"), load.params());
        ExecutorService threads = Executors.newFixedThreadPool(load.trainers() + 1);
        try (LocalFlink flink = LocalFlink.start(Optional.of(FreePorts.next()), work)) {
            Configuration configuration = load.backend().configuration();
            configuration.set(CheckpointingOptions.CHECKPOINTING_INTERVAL, load.checkpoints());
            flink.environment().configure(configuration);
            AggregationGraph graph = graph(load, model, models);
            int shards = graph.model().layout().shards();
            TopProbe.reset(shards, flink);
            new FederationJob(graph, List.of(transport), load.publish())
                    .build(flink.environment(), shard -> TopProbe.shard(shard.round().round()));
            flink.submit(JOB);
            List<Callable<Void>> all = new ArrayList<>();
            CyclicBarrier ready = new CyclicBarrier(load.trainers(), this::started);
            CyclicBarrier done = new CyclicBarrier(load.trainers());
            List<String> tags = graph.topology().trainerGroups();
            for (int i = 0; i < load.trainers(); i++) {
                int trainer = i;
                String group = tags.get(i % tags.size());
                all.add(() -> train(trainer, group, models, ready, done));
            }
            Future<Void> besides =
                    threads.submit(
                            () -> {
                                try {
                                    beside.run(
                                            new FlinkRest(URI.create(flink.url()).getAuthority()),
                                            this);
                                } catch (Exception e) {
                                    // Without it the rounds might wait for ever.
                                    threads.shutdownNow();
                                    throw e;
                                }
                                return null;
                            });
            try {
                for (Future<Void> future : threads.invokeAll(all)) {
                    future.get();
                }
            } catch (ExecutionException e) {
                if (besides.isDone()) {
                    besides.get();
                }
                throw e;
            }
            besides.get();
            flink.check();
        } finally {
            threads.shutdownNow();
        }
    }

    /** A job whose rounds wait for all trainers. */
    static AggregationGraph graph(Load load, Path model, Path models) {
        return new AggregationGraph(
                JOB,
                Run.draw(),
                TreeSchemas.of(load.levels(), GROUPS, 1),
                new RoundRules(
                        load.warmUp() + load.rounds(),
                        new RoundRules.Quorum(load.trainers(), load.trainers()),
                        new RoundRules.Patience(Duration.ZERO, Duration.ZERO, Duration.ofHours(1)),
                        new RoundRules.Folding(
                                RoundRules.Timing.EAGER,
                                UpdateKind.WEIGHTS,
                                load.algorithm(),
                                true),
                        Map.of(),
                        RoundRules.Limits.DEFAULT),
                new ModelSpec(
                        model.toString(), ModelSpec.DEFAULT_SHARD_ELEMENTS, UpdateKind.WEIGHTS),
                PosixModelStore.at(models),
                Surroundings.System.HERE);
    }

    private Void train(
            int trainer, String group, Path models, CyclicBarrier ready, CyclicBarrier done)
            throws Exception {
        float[] values = values(trainer, Math.min(load.params(), MAX_VALUES));
        try (TrainerClient client =
                TrainerClient.builder()
                        .job(JOB)
                        .id("t-" + trainer)
                        .group(group)
                        .transport(trainerTransport)
                        // Where regions are, so that no disk is measured.
                        .directory(models)
                        .connect()) {
            client.join();
            Optional<TrainingRound> round = client.awaitRound(PATIENCE);
            while (round.isPresent()) {
                int number = round.get().id().round();
                begun = number;
                long begins = System.nanoTime();
                ModelUpdate update = write(round.get(), trainer, values, ready);
                long sent = System.nanoTime();
                boolean last = trainer == load.trainers() - 1;
                if (last) {
                    beginNanos.add(begins);
                    lastSent.put(number, sent);
                }
                send(client, update);
                if (last && number > load.warmUp()) {
                    receiptMillis.add((System.nanoTime() - sent) / 1e6);
                }
                done.await();
                if (trainer == 0) {
                    finished(number);
                }
                round = client.awaitRound(PATIENCE);
            }
        }
        return null;
    }

    /** Returns when the update is to be sent. */
    private ModelUpdate write(TrainingRound round, int trainer, float[] values, CyclicBarrier ready)
            throws Exception {
        if (load.arrivals() == Load.Arrivals.WRITTEN_IN_TIME) {
            ready.await();
            return write(round, trainer, values).seal();
        }
        ModelUpdate update = write(round, trainer, values).seal();
        ready.await();
        if (load.arrivals() == Load.Arrivals.SPREAD) {
            long due = SPREAD.toNanos() * trainer / Math.max(1, load.trainers() - 1);
            TimeUnit.NANOSECONDS.sleep(writtenNanos + due - System.nanoTime());
        }
        return update;
    }

    /** What a trainer writes again and again into its tensors. */
    static float[] values(int trainer, int count) {
        float[] values = new float[count];
        for (int i = 0; i < count; i++) {
            values[i] = (i + trainer) % 1000 * 1e-3f;
        }
        return values;
    }

    /** A trainer's update, all of it written. */
    static ModelUpdate write(TrainingRound round, int trainer, float[] values) {
        ModelUpdate update = round.newUpdate().samples(1 + trainer);
        round.header().tensors().forEach(tensor -> fill(update.floats(tensor.name()), values));
        return update;
    }

    /** Sends an update, which must count. */
    static void send(TrainerClient client, ModelUpdate update) {
        Receipt receipt = client.send(update);
        if (receipt.status() != Receipt.Status.COMMITTED) {
            throw new IllegalStateException(receipt.toString());
        }
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
        written.release();
    }

    private void finished(int round) throws Exception {
        TopProbe.End end = TopProbe.await(round);
        anonymousMb = Math.max(anonymousMb, Samples.anonymousMb());
        if (round > load.warmUp()) {
            seconds.add((end.nanos() - writtenNanos) / 1e9);
            cpuSeconds.add((end.cpuNanos() - writtenCpu) / 1e9);
        }
    }

    /** Writes a model of zeros. */
    static Path model(Path file, int params) throws IOException {
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
}
