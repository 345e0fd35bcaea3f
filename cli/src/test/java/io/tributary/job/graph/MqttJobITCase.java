// SPDX-License-Identifier: Apache-2.0

package io.tributary.job.graph;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.tributary.cli.testutils.TestBroker;
import io.tributary.job.testutils.SmallModel;
import io.tributary.memory.region.RegionHeader;
import io.tributary.memory.region.RegionLayout.State;
import io.tributary.node.PayloadStore;
import io.tributary.node.agent.FreePorts;
import io.tributary.operators.coordinator.RoundRules;
import io.tributary.operators.coordinator.RoundRules.Timing;
import io.tributary.operators.coordinator.Surroundings;
import io.tributary.operators.model.ModelSpec;
import io.tributary.operators.model.PosixModelStore;
import io.tributary.operators.optimizer.Algorithm;
import io.tributary.protocol.Json;
import io.tributary.protocol.RejectReason;
import io.tributary.protocol.message.DeadLetter;
import io.tributary.protocol.message.Receipt;
import io.tributary.protocol.message.Receipt.Status;
import io.tributary.protocol.message.Run;
import io.tributary.protocol.message.Topics;
import io.tributary.protocol.message.UpdateKind;
import io.tributary.protocol.tensor.TensorInfo;
import io.tributary.sources.base.staging.Staging;
import io.tributary.trainer.ModelUpdate;
import io.tributary.trainer.TrainerClient;
import io.tributary.trainer.TrainerException;
import io.tributary.trainer.TrainerTransport;
import io.tributary.trainer.TrainingRound;
import io.tributary.transport.mqtt.BrokerOptions;
import io.tributary.transport.mqtt.MqttLink;
import io.tributary.transport.mqtt.Publication;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.stream.Stream;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.CoreOptions;
import org.apache.flink.configuration.StateRecoveryOptions;
import org.apache.flink.core.execution.SavepointFormatType;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** The job between real clients and real brokers. */
@Timeout(120)
class MqttJobITCase {

    private static final String JOB = "it";
    private static final Duration PATIENCE = Duration.ofSeconds(60);

    @TempDir Path temp;

    private LocalFlink start(BrokerOptions broker, int trainers, int rounds, Timing timing)
            throws Exception {
        return start(broker, trainers, rounds, timing, new Configuration());
    }

    private LocalFlink start(
            BrokerOptions broker, int trainers, int rounds, Timing timing, Configuration more)
            throws Exception {
        Path model = SmallModel.write(temp.resolve("model-0.safetensors"), 0);
        LocalFlink flink = LocalFlink.start(Optional.of(FreePorts.next()), temp);
        flink.environment().configure(more);
        AggregationGraph graph =
                new AggregationGraph(
                        JOB,
                        Run.draw(),
                        TreeSchemas.of(4, List.of("us/west", "us/east", "eu"), 2),
                        new RoundRules(
                                rounds,
                                new RoundRules.Quorum(trainers, trainers),
                                new RoundRules.Patience(
                                        Duration.ZERO, Duration.ofSeconds(30), Duration.ofHours(1)),
                                new RoundRules.Folding(
                                        timing, UpdateKind.WEIGHTS, Algorithm.FEDAVG, true),
                                Map.of(),
                                RoundRules.Limits.DEFAULT),
                        new ModelSpec(model.toString(), 100_000, UpdateKind.WEIGHTS),
                        PosixModelStore.at(temp),
                        Surroundings.System.HERE);
        new FederationJob(
                        graph,
                        List.of(
                                new MqttTransport(
                                        broker,
                                        new Staging(
                                                new PayloadStore.Place(
                                                        temp.resolve("regions").toString()),
                                                1 << 26,
                                                Duration.ofSeconds(20),
                                                Duration.ofHours(1)))),
                        Publish.COMMITTED)
                .build(flink.environment());
        flink.submit(JOB);
        return flink;
    }

    private static TrainerClient client(BrokerOptions broker, String id, String group) {
        return TrainerClient.builder()
                .job(JOB)
                .id(id)
                .group(group)
                .transport(TrainerTransport.mqtt(broker))
                .receiptTimeout(Duration.ofSeconds(5))
                .heartbeat(Duration.ofSeconds(1))
                .connect();
    }

    private static ModelUpdate update(TrainingRound round, long seed) {
        ByteBuffer all = ByteBuffer.wrap(SmallModel.bytes(seed));
        ModelUpdate update = round.newUpdate();
        for (TensorInfo tensor : round.header().tensors()) {
            update.bytes(tensor.name())
                    .put(
                            all.slice(
                                    (int) (SmallModel.HEADER.dataOffset() + tensor.begin()),
                                    (int) (tensor.end() - tensor.begin())));
        }
        return update;
    }

    private static long seed(String id, int round) {
        return id.hashCode() * 100L + round;
    }

    private static long samples(String id) {
        return 1 + Math.abs(id.hashCode() % 1000);
    }

    /** Trains like a trainer: joins, sends something for each round, and leaves. */
    private CompletableFuture<List<Receipt>> trainer(
            BrokerOptions broker, String id, String group) {
        return CompletableFuture.supplyAsync(
                () -> {
                    List<Receipt> receipts = new ArrayList<>();
                    try (TrainerClient client = client(broker, id, group)) {
                        client.join();
                        Optional<TrainingRound> round = client.awaitRound(PATIENCE);
                        while (round.isPresent()) {
                            ModelUpdate update =
                                    update(round.get(), seed(id, round.get().id().round()));
                            receipts.add(client.send(update.samples(samples(id))));
                            round = client.awaitRound(PATIENCE);
                        }
                    }
                    return receipts;
                },
                task -> new Thread(task, id).start());
    }

    private void assertModelIsTheMean(int round, List<String> trainers) throws Exception {
        Map<Path, Long> updates = new HashMap<>();
        for (String id : trainers) {
            updates.put(SmallModel.write(temp.resolve("u-" + id), seed(id, round)), samples(id));
        }
        Path model = temp.resolve("model-" + round + ".safetensors");
        assertThat(SmallModel.error(model, updates)).isLessThan(1e-6);
    }

    @ParameterizedTest
    @EnumSource
    void roundsEndInTheWeightedMean(TestBroker.Kind kind) throws Exception {
        List<String> groups = List.of("us/west", "us/east", "eu");
        List<String> ids = List.of("t-1", "t-2", "t-3", "t-4", "t-5");
        try (TestBroker broker = kind.start();
                LocalFlink flink =
                        start(
                                broker.options(),
                                5,
                                2,
                                kind == TestBroker.Kind.EMBEDDED ? Timing.EAGER : Timing.LAZY)) {
            List<CompletableFuture<List<Receipt>>> trainers = new ArrayList<>();
            for (int i = 0; i < ids.size(); i++) {
                trainers.add(trainer(broker.options(), ids.get(i), groups.get(i % 3)));
            }
            for (CompletableFuture<List<Receipt>> trainer : trainers) {
                assertThat(trainer.get())
                        .extracting(Receipt::status)
                        .containsExactly(Status.COMMITTED, Status.COMMITTED);
            }
            flink.check();
            assertModelIsTheMean(1, ids);
            assertModelIsTheMean(2, ids);
            Awaitility.await("regions are given back")
                    .until(
                            () -> {
                                try (Stream<Path> files = Files.walk(temp.resolve("regions"))) {
                                    return files.noneMatch(MqttJobITCase::held);
                                }
                            });
        }
    }

    private static boolean held(Path file) {
        return file.toString().endsWith(".region")
                && RegionHeader.read(file).state() == State.READY;
    }

    @ParameterizedTest
    @EnumSource
    void badInputNeverStopsTheJob(TestBroker.Kind kind) throws Exception {
        List<DeadLetter> letters = new CopyOnWriteArrayList<>();
        Topics topics = new Topics(JOB);
        try (TestBroker broker = kind.start();
                LocalFlink flink = start(broker.options(), 2, 1, Timing.EAGER);
                MqttLink link =
                        MqttLink.connect(
                                broker.options(),
                                new MqttLink.Settings("vandal", 50, Optional.empty()),
                                message -> {
                                    letters.add(Json.decode(message.payload(), DeadLetter.class));
                                    message.done().run();
                                })) {
            link.subscribe(List.of(topics.deadLetter()));
            try (TrainerClient good = client(broker.options(), "good", "eu");
                    TrainerClient bad = client(broker.options(), "bad", "us/west")) {
                good.join();
                try (TrainerClient twin = client(broker.options(), "good", "eu")) {
                    assertThatThrownBy(twin::join)
                            .isInstanceOfSatisfying(
                                    TrainerException.class,
                                    e ->
                                            assertThat(e.reason())
                                                    .isEqualTo(RejectReason.DUPLICATE_TRAINER));
                }
                try (TrainerClient lost = client(broker.options(), "lost", "mars")) {
                    assertThatThrownBy(lost::join).hasMessageContaining("[eu, us/east, us/west]");
                }
                bad.join();
                for (String topic :
                        List.of(
                                topics.control("x"),
                                topics.update("x"),
                                topics.update("bad"),
                                "tributary/v1/it/update/3/deep")) {
                    link.publish(new Publication(topic, new byte[0], Map.of(), false));
                    link.publish(
                            new Publication(
                                    topic, "garbage".getBytes(), Map.of("job", "it"), false));
                }

                TrainingRound round = bad.awaitRound(PATIENCE).orElseThrow();
                ModelUpdate nan = update(round, 1).samples(3);
                nan.floats("layer.weight").put(2_001, Float.NaN);
                Receipt rejected = bad.send(nan);
                assertThat(rejected.status()).isEqualTo(Status.REJECTED);
                assertThat(rejected.text())
                        .isEqualTo(
                                "update from trainer bad for round "
                                        + round.id()
                                        + ": tensor 'layer.weight' has NaN at index [2, 1]; only"
                                        + " finite values can be averaged");
                assertThat(bad.send(update(round, 1).samples(-4)).reason())
                        .isEqualTo(RejectReason.BAD_SAMPLES);

                ModelUpdate mine = update(round, seed("bad", 1)).samples(samples("bad"));
                assertThat(bad.send(mine).status()).isEqualTo(Status.COMMITTED);
                assertThat(bad.send(update(round, 77).samples(1)).reason())
                        .isEqualTo(RejectReason.DIFFERENT_BYTES);
                TrainingRound theirs = good.awaitRound(PATIENCE).orElseThrow();
                good.send(update(theirs, seed("good", 1)).samples(samples("good")));
                assertThat(good.awaitRound(PATIENCE)).isEmpty();
            }
            flink.check();
            assertModelIsTheMean(1, List.of("good", "bad"));
            Awaitility.await()
                    .untilAsserted(
                            () ->
                                    assertThat(letters)
                                            .extracting(DeadLetter::reason)
                                            .contains(
                                                    RejectReason.MALFORMED,
                                                    RejectReason.DUPLICATE_TRAINER,
                                                    RejectReason.UNKNOWN_GROUP,
                                                    RejectReason.NOT_FINITE,
                                                    RejectReason.BAD_SAMPLES,
                                                    RejectReason.DIFFERENT_BYTES));
            assertThat(letters).filteredOn(l -> l.reason() == RejectReason.MALFORMED).hasSize(8);
        }
    }

    @ParameterizedTest
    @EnumSource
    void aBrokerThatGoesAwayAndComesBackMidRoundLosesNothing(TestBroker.Kind kind)
            throws Exception {
        try (TestBroker broker = kind.start();
                LocalFlink flink = start(broker.options(), 2, 1, Timing.EAGER);
                TrainerClient first = client(broker.options(), "first", "eu");
                TrainerClient second = client(broker.options(), "second", "us/east")) {
            first.join();
            second.join();
            TrainingRound round = first.awaitRound(PATIENCE).orElseThrow();
            TrainingRound other = second.awaitRound(PATIENCE).orElseThrow();
            first.send(update(round, seed("first", 1)).samples(samples("first")));
            broker.stop();
            CompletableFuture<Receipt> sending =
                    CompletableFuture.supplyAsync(
                            () ->
                                    second.send(
                                            update(other, seed("second", 1))
                                                    .samples(samples("second"))));
            assertThat(sending).isNotDone();
            broker.startAgain();
            assertThat(sending.get().status()).isEqualTo(Status.COMMITTED);
            Awaitility.await()
                    .atMost(PATIENCE)
                    .until(() -> Files.exists(temp.resolve("model-1.safetensors")));
            flink.check();
            assertModelIsTheMean(1, List.of("first", "second"));
            assertThat(first.awaitRound(PATIENCE)).as("the plan is there again").isEmpty();
        }
    }

    /** Eager: the leaf's sums are in the savepoint. Lazy: the claim is, and its region on disk. */
    @ParameterizedTest
    @EnumSource
    void aRoundGoesOnFromASavepointWithAnotherParallelism(Timing timing) throws Exception {
        try (TestBroker broker = TestBroker.Kind.EMBEDDED.start();
                TrainerClient before = client(broker.options(), "before", "eu");
                TrainerClient after = client(broker.options(), "after", "us/east")) {
            String savepoint;
            TrainingRound round;
            TrainingRound other;
            try (LocalFlink flink = start(broker.options(), 2, 1, timing)) {
                before.join();
                after.join();
                round = before.awaitRound(PATIENCE).orElseThrow();
                other = after.awaitRound(PATIENCE).orElseThrow();
                ModelUpdate first = update(round, seed("before", 1)).samples(samples("before"));
                assertThat(before.send(first).status()).isEqualTo(Status.COMMITTED);
                savepoint =
                        flink.job()
                                .stopWithSavepoint(
                                        false,
                                        temp.resolve("savepoints").toString(),
                                        SavepointFormatType.CANONICAL)
                                .get();
            }
            Configuration restore = new Configuration();
            restore.set(StateRecoveryOptions.SAVEPOINT_PATH, savepoint);
            restore.set(CoreOptions.DEFAULT_PARALLELISM, 3);
            try (LocalFlink flink = start(broker.options(), 2, 1, timing, restore)) {
                ModelUpdate again = update(round, seed("before", 1)).samples(samples("before"));
                assertThat(before.send(again).status()).isEqualTo(Status.DUPLICATE);
                ModelUpdate second = update(other, seed("after", 1)).samples(samples("after"));
                assertThat(after.send(second).status()).isEqualTo(Status.COMMITTED);
                Awaitility.await()
                        .atMost(PATIENCE)
                        .until(() -> Files.exists(temp.resolve("model-1.safetensors")));
                flink.check();
            }
            assertModelIsTheMean(1, List.of("before", "after"));
        }
    }

    @ParameterizedTest
    @EnumSource
    void aTrainerThatDiesIsNotWaitedFor(TestBroker.Kind kind) throws Exception {
        try (TestBroker broker = kind.start();
                LocalFlink flink = start(broker.options(), 2, 1, Timing.EAGER);
                TrainerClient survivor = client(broker.options(), "survivor", "eu")) {
            TrainerClient victim = client(broker.options(), "victim", "us/east");
            survivor.join();
            victim.join();
            survivor.awaitRound(PATIENCE);
            victim.abort();
            // The last will frees the id, so the same trainer can come back at once.
            try (TrainerClient again = client(broker.options(), "victim", "us/east")) {
                Awaitility.await()
                        .ignoreExceptionsInstanceOf(TrainerException.class)
                        .untilAsserted(again::join);
                TrainingRound round = again.awaitRound(PATIENCE).orElseThrow();
                again.send(update(round, seed("victim", 1)).samples(samples("victim")));
            }
            flink.check();
        }
    }
}
