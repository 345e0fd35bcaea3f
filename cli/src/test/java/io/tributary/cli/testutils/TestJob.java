// SPDX-License-Identifier: Apache-2.0

package io.tributary.cli.testutils;

import io.tributary.job.config.JobSpec;
import io.tributary.job.graph.AggregationGraph;
import io.tributary.job.graph.FederationJob;
import io.tributary.job.graph.JobTransport;
import io.tributary.job.graph.LocalFlink;
import io.tributary.job.graph.Publish;
import io.tributary.job.graph.ShmTransport;
import io.tributary.job.graph.TreeSchemas;
import io.tributary.job.testutils.SmallModel;
import io.tributary.memory.region.RegionDirectory;
import io.tributary.node.PayloadStore;
import io.tributary.node.agent.FreePorts;
import io.tributary.operators.coordinator.RoundRules;
import io.tributary.operators.coordinator.Surroundings;
import io.tributary.operators.model.ModelSpec;
import io.tributary.operators.model.PosixModelStore;
import io.tributary.operators.optimizer.Algorithm;
import io.tributary.protocol.message.Run;
import io.tributary.protocol.message.UpdateKind;
import io.tributary.protocol.tensor.TensorInfo;
import io.tributary.sources.base.staging.Staging;
import io.tributary.trainer.ModelUpdate;
import io.tributary.trainer.TrainerClient;
import io.tributary.trainer.TrainerClientBuilder;
import io.tributary.trainer.TrainerTransport;
import io.tributary.trainer.TrainingRound;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.stream.Stream;
import org.apache.flink.configuration.CheckpointingOptions;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.ExternalizedCheckpointRetention;
import org.apache.flink.configuration.StateRecoveryOptions;
import org.awaitility.Awaitility;

/**
 * A job over shared memory, and trainers for it whose updates follow from their id and the round.
 *
 * @param name the job's name
 * @param work directory for models, checkpoints and, below {@code regions}, regions
 * @param agentPort where the agent is
 */
public record TestJob(String name, Path work, int agentPort) {

    public static final List<String> GROUPS = List.of("us/west", "us/east", "eu");
    public static final Duration PATIENCE = Duration.ofSeconds(90);

    public Path regions() {
        return work.resolve("regions");
    }

    /** All submissions of a job are one run here, so tokens stay what they are. */
    public static Run run(String job) {
        return Run.of("the secret of " + job);
    }

    /** Where updates that come in chunks are put together. */
    public Staging staging(long quotaBytes) {
        return new Staging(
                new PayloadStore.Place(regions().toString()),
                quotaBytes,
                Duration.ofSeconds(60),
                Duration.ofHours(1));
    }

    /** Starts it, from the newest checkpoint in {@code work} if there is one. */
    public LocalFlink start(int trainers, int rounds, long quotaBytes) throws Exception {
        return start(
                trainers,
                rounds,
                new ShmTransport(
                        new PayloadStore.Place(regions().toString()), quotaBytes, agentPort));
    }

    public LocalFlink start(int trainers, int rounds, JobTransport transport) throws Exception {
        return start(trainers, rounds, transport, new Configuration());
    }

    /** Starts a submission of its own. */
    public LocalFlink start(int trainers, int rounds, JobTransport transport, Run run)
            throws Exception {
        return start(trainers, rounds, transport, new Configuration(), run);
    }

    public LocalFlink start(int trainers, int rounds, JobTransport transport, Configuration more)
            throws Exception {
        return start(trainers, rounds, transport, more, run(name));
    }

    public LocalFlink start(
            int trainers, int rounds, JobTransport transport, Configuration more, Run run)
            throws Exception {
        return start(trainers, rounds, transport, more, run, UpdateKind.WEIGHTS);
    }

    /** The same for updates of that kind. */
    public LocalFlink start(
            int trainers,
            int rounds,
            JobTransport transport,
            Configuration more,
            Run run,
            UpdateKind kind)
            throws Exception {
        return start(
                new RoundRules(
                        rounds,
                        new RoundRules.Quorum(trainers, trainers),
                        new RoundRules.Patience(Duration.ZERO, Duration.ZERO, Duration.ofHours(1)),
                        new RoundRules.Folding(
                                RoundRules.Timing.EAGER, kind, Algorithm.FEDAVG, true),
                        Map.of(),
                        RoundRules.Limits.DEFAULT),
                transport,
                more,
                run);
    }

    /** The same by these rules. */
    public LocalFlink start(RoundRules rules, JobTransport transport, Configuration more, Run run)
            throws Exception {
        return start(rules, List.of(transport), more, run);
    }

    /** The same by several transports. */
    public LocalFlink start(
            RoundRules rules, List<JobTransport> transports, Configuration more, Run run)
            throws Exception {
        Path model = SmallModel.write(work.resolve(name + "-0.safetensors"), 0);
        Path own = Files.createDirectories(work.resolve(name));
        Configuration configuration = new Configuration();
        configuration.set(
                CheckpointingOptions.EXTERNALIZED_CHECKPOINT_RETENTION,
                ExternalizedCheckpointRetention.RETAIN_ON_CANCELLATION);
        newestCheckpoint(own.resolve("checkpoints"))
                .ifPresent(
                        path ->
                                configuration.set(
                                        StateRecoveryOptions.SAVEPOINT_PATH, path.toString()));
        LocalFlink flink = LocalFlink.start(Optional.of(FreePorts.next()), own);
        configuration.addAll(more);
        flink.environment().configure(configuration);
        AggregationGraph graph =
                new AggregationGraph(
                        name,
                        run,
                        TreeSchemas.of(4, GROUPS, 2),
                        rules,
                        new ModelSpec(
                                model.toString(),
                                100_000,
                                rules.folding().kind(),
                                rules.folding().algorithm().optimizer().sets(),
                                rules.folding().tensors()),
                        PosixModelStore.at(work.resolve(name)),
                        Surroundings.System.HERE);
        new FederationJob(graph, transports, Publish.COMMITTED).build(flink.environment());
        flink.submit(name);
        return flink;
    }

    private static Optional<Path> newestCheckpoint(Path checkpoints) throws IOException {
        if (!Files.exists(checkpoints)) {
            return Optional.empty();
        }
        try (Stream<Path> files = Files.walk(checkpoints)) {
            return files.filter(f -> f.getFileName().toString().equals("_metadata"))
                    .max(Comparator.comparing(f -> f.toFile().lastModified()))
                    .map(Path::getParent);
        }
    }

    public Path model(int round) {
        return PosixModelStore.at(work.resolve(name)).model(round);
    }

    /** Waits until a round's model is there. */
    public void awaitModel(int round) {
        Awaitility.await("model " + round).atMost(PATIENCE).until(() -> Files.exists(model(round)));
    }

    public TrainerClient client(String id) {
        return client(id, TrainerTransport.shm(regions(), agentPort));
    }

    public TrainerClient client(String id, TrainerTransport transport) {
        return builder(id, transport).connect();
    }

    public TrainerClientBuilder builder(String id, TrainerTransport transport) {
        return TrainerClient.builder()
                .job(name)
                .id(id)
                .group(GROUPS.get(Math.floorMod(id.hashCode(), GROUPS.size())))
                .transport(transport)
                .receiptTimeout(Duration.ofSeconds(5))
                .heartbeat(Duration.ofSeconds(1));
    }

    /** The regions that there are. */
    public int regionFiles() {
        return RegionDirectory.list(regions()).size();
    }

    /** Removes all regions, as if the job came to another host. */
    public void deleteRegions() {
        RegionDirectory.list(regions()).forEach(file -> file.toFile().delete());
    }

    /** The file that a trainer sends for a round. */
    public static byte[] bytes(String id, int round) {
        return SmallModel.bytes(seed(id, round));
    }

    public static ModelUpdate update(TrainingRound round, String id) {
        ByteBuffer all = ByteBuffer.wrap(SmallModel.bytes(seed(id, round.id().round())));
        ModelUpdate update = round.newUpdate();
        for (TensorInfo tensor : round.header().tensors()) {
            update.bytes(tensor.name())
                    .put(
                            all.slice(
                                    (int) (SmallModel.HEADER.dataOffset() + tensor.begin()),
                                    (int) (tensor.end() - tensor.begin())));
        }
        return update.samples(samples(id));
    }

    private static long seed(String id, int round) {
        return id.hashCode() * 100L + round;
    }

    public static long samples(String id) {
        return 1 + Math.abs(id.hashCode() % 1000);
    }

    /** Trains all rounds that are left. */
    public static void train(TrainerClient client) {
        Optional<TrainingRound> round = client.awaitRound(PATIENCE);
        while (round.isPresent()) {
            client.send(update(round.get(), client.id()));
            round = client.awaitRound(PATIENCE);
        }
    }

    /** A trainer that has joined the job of a file. */
    public static TrainerClient joined(JobSpec spec, String id) {
        TrainerClient client =
                TrainerClient.builder()
                        .job(spec.name())
                        .id(id)
                        .group(GROUPS.get(Math.floorMod(id.hashCode(), GROUPS.size())))
                        .transport(spec.followed().uri())
                        .connect();
        client.join();
        return client;
    }

    /** Joins the job of a file, and trains all its rounds, on a thread of its own. */
    public static CompletableFuture<Void> train(JobSpec spec, String id) {
        return CompletableFuture.runAsync(
                () -> {
                    try (TrainerClient client = joined(spec, id)) {
                        train(client);
                    }
                },
                task -> new Thread(task, id).start());
    }

    /** The error of a round's model against the float64 mean of one update of each trainer. */
    public double error(int round, List<String> trainers) throws IOException {
        return error(model(round), round, trainers);
    }

    /** The same for a model file that lies elsewhere. */
    public double error(Path model, int round, List<String> trainers) throws IOException {
        Map<Path, Long> updates = new HashMap<>();
        for (String id : trainers) {
            updates.put(SmallModel.write(work.resolve("u-" + id), seed(id, round)), samples(id));
        }
        return SmallModel.error(model, updates);
    }
}
