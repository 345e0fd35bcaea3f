// SPDX-License-Identifier: Apache-2.0

package io.tributary.job.graph;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.tributary.cli.testutils.TestJob;
import io.tributary.job.cluster.SavepointCheck;
import io.tributary.job.config.JobModel;
import io.tributary.memory.region.JobDirectory;
import io.tributary.node.PayloadStore;
import io.tributary.node.agent.FreePorts;
import io.tributary.operators.coordinator.RoundRules;
import io.tributary.operators.optimizer.Algorithm;
import io.tributary.protocol.Json;
import io.tributary.protocol.RejectReason;
import io.tributary.protocol.message.Receipt;
import io.tributary.protocol.message.Run;
import io.tributary.protocol.message.UpdateKind;
import io.tributary.testbed.process.EmbeddedBroker;
import io.tributary.testbed.process.KafkaProcess;
import io.tributary.trainer.TrainerClient;
import io.tributary.trainer.TrainerException;
import io.tributary.trainer.TrainerTransport;
import io.tributary.trainer.TrainingRound;
import io.tributary.transport.kafka.KafkaTopics;
import io.tributary.transport.mqtt.BrokerOptions;
import io.tributary.transport.mqtt.MqttLink;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.flink.configuration.Configuration;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** One job whose trainers come over MQTT, Kafka and shared memory at once. */
@Timeout(300)
class MixedTransportsITCase {

    private static final long QUOTA = 1 << 28;
    private static final int NO_AGENT = 1;
    private static final int ROUNDS = 3;
    private static final List<String> SCHEMES = List.of("mqtt", "kafka", "shm");

    @TempDir Path temp;

    private static RoundRules rules(int trainers) {
        return rules(trainers, Algorithm.FEDAVG);
    }

    private static RoundRules rules(int trainers, Algorithm algorithm) {
        return new RoundRules(
                ROUNDS,
                new RoundRules.Quorum(trainers, trainers),
                new RoundRules.Patience(Duration.ZERO, Duration.ZERO, Duration.ofHours(1)),
                new RoundRules.Folding(
                        RoundRules.Timing.EAGER, UpdateKind.WEIGHTS, algorithm, true),
                Map.of(),
                RoundRules.Limits.DEFAULT);
    }

    private static List<JobTransport> transports(
            TestJob job, EmbeddedBroker broker, KafkaProcess kafka) {
        return List.of(
                new MqttTransport(BrokerOptions.of(broker.url()), job.staging(QUOTA)),
                new KafkaTransport(kafka.options(), job.staging(QUOTA), false),
                new ShmTransport(
                        new PayloadStore.Place(job.regions().toString()), QUOTA, NO_AGENT));
    }

    private static CompletableFuture<Void> train(TestJob job, String id, String uri) {
        return CompletableFuture.runAsync(
                () -> {
                    try (TrainerClient client = job.client(id, TrainerTransport.of(uri))) {
                        client.join();
                        TestJob.train(client);
                    }
                },
                task -> new Thread(task, id).start());
    }

    @Test
    void trainersOfAllTransportsMeetInEachRound() throws Exception {
        TestJob job = new TestJob("mixed", temp, NO_AGENT);
        Set<String> answered = ConcurrentHashMap.newKeySet();
        try (EmbeddedBroker broker = EmbeddedBroker.start();
                KafkaProcess kafka = KafkaProcess.start(temp.resolve("kafka"));
                MqttLink listener = receipts(broker, answered)) {
            List<JobTransport> transports = transports(job, broker, kafka);
            List<String> ids = new ArrayList<>();
            List<CompletableFuture<Void>> trainers = new ArrayList<>();
            try (LocalFlink flink =
                    job.start(
                            rules(2 * SCHEMES.size()),
                            transports,
                            new Configuration(),
                            TestJob.run("mixed"))) {
                for (JobTransport transport : transports) {
                    for (int i = 1; i <= 2; i++) {
                        String id = transport.scheme() + "-" + i;
                        ids.add(id);
                        trainers.add(train(job, id, transport.uri()));
                    }
                }
                for (CompletableFuture<Void> trainer : trainers) {
                    trainer.get();
                }
                flink.awaitFinished();
            }
            for (int round = 1; round <= ROUNDS; round++) {
                assertThat(job.error(round, ids)).as("round " + round).isLessThan(1e-6);
            }
            // A receipt may hold a token, which is its trainer's alone.
            assertThat(answered).containsExactlyInAnyOrder("mqtt-1", "mqtt-2");
            assertThat(answered(kafka, "mixed")).containsExactlyInAnyOrder("kafka-1", "kafka-2");
        }
    }

    /** Hears the receipts of all trainers, as nobody should be able to. */
    private static MqttLink receipts(EmbeddedBroker broker, Set<String> answered) {
        MqttLink link =
                MqttLink.connect(
                        BrokerOptions.of(broker.url()),
                        new MqttLink.Settings("listener", 100, Optional.empty()),
                        message -> {
                            answered.add(Json.decode(message.payload(), Receipt.class).trainer());
                            message.done().run();
                        });
        link.subscribe(List.of("tributary/v1/mixed/receipt/+"));
        return link;
    }

    private static Set<String> answered(KafkaProcess kafka, String job) {
        Set<String> answered = ConcurrentHashMap.newKeySet();
        String topic = new KafkaTopics(job).receipts();
        try (KafkaConsumer<byte[], byte[]> consumer =
                new KafkaConsumer<>(kafka.options().consumer())) {
            List<TopicPartition> all =
                    consumer.partitionsFor(topic).stream()
                            .map(p -> new TopicPartition(topic, p.partition()))
                            .toList();
            consumer.assign(all);
            consumer.seekToBeginning(all);
            Map<TopicPartition, Long> ends = consumer.endOffsets(all);
            while (all.stream().anyMatch(p -> consumer.position(p) < ends.get(p))) {
                consumer.poll(Duration.ofMillis(200))
                        .forEach(
                                r -> answered.add(Json.decode(r.value(), Receipt.class).trainer()));
            }
        }
        return answered;
    }

    /**
     * A transport that is left out has state that nobody takes; a new one does not know the model.
     */
    @Test
    void aJobIsResumedWithItsOwnTransports() throws Exception {
        TestJob job = new TestJob("same", temp, NO_AGENT);
        try (EmbeddedBroker broker = EmbeddedBroker.start()) {
            List<JobTransport> both =
                    List.of(
                            new MqttTransport(BrokerOptions.of(broker.url()), job.staging(QUOTA)),
                            new ShmTransport(
                                    new PayloadStore.Place(job.regions().toString()),
                                    QUOTA,
                                    NO_AGENT));
            Run run = TestJob.run("same");
            String savepoint;
            try (LocalFlink flink = job.start(rules(2), both, new Configuration(), run)) {
                try (TrainerClient first = job.client("t-1");
                        TrainerClient second =
                                job.client("t-2", TrainerTransport.of(broker.url()))) {
                    first.join();
                    second.join();
                    CompletableFuture<Void> other =
                            CompletableFuture.runAsync(() -> sendOne(second));
                    sendOne(first);
                    other.get();
                }
                job.awaitModel(1);
                savepoint = flink.stopWithSavepoint(temp.resolve("same/checkpoints"));
            }
            List<JobModel> models =
                    List.of(
                            new JobModel(
                                    "", "same", TreeSchemas.of(4, TestJob.GROUPS, 2), "models"));
            SavepointCheck.requireRestorable(savepoint, models, Set.of("mqtt", "shm"));
            for (Set<String> others : List.of(Set.of("mqtt"), Set.of("mqtt", "shm", "kafka"))) {
                assertThatThrownBy(
                                () -> SavepointCheck.requireRestorable(savepoint, models, others))
                        .hasMessageContaining("has transports [mqtt, shm], the job has [")
                        .hasMessageContaining("submit with the savepoint's transports");
            }
            try (LocalFlink flink = job.start(rules(2), both, new Configuration(), run)) {
                CompletableFuture.allOf(
                                train(job, "t-1", both.get(1).uri()),
                                train(job, "t-2", broker.url()))
                        .get();
                flink.awaitFinished();
            }
            assertThat(job.error(ROUNDS, List.of("t-1", "t-2"))).isLessThan(1e-6);
        }
    }

    private static void sendOne(TrainerClient client) {
        TrainingRound round = client.awaitRound(TestJob.PATIENCE).orElseThrow();
        assertThat(client.send(TestJob.update(round, client.id())).status())
                .isEqualTo(Receipt.Status.COMMITTED);
    }

    /**
     * An update that waits for the close lies in a region of the job's directory, where the source
     * for shared memory looks too: whenever a trainer rings.
     */
    @Test
    void anUpdateThatWaitsIsClaimedByItsOwnSourceAlone() throws Exception {
        TestJob job = new TestJob("waits", temp, NO_AGENT);
        try (EmbeddedBroker broker = EmbeddedBroker.start();
                LocalFlink flink =
                        job.start(
                                rules(2, Algorithm.named("median", Map.of())),
                                List.of(
                                        new MqttTransport(
                                                BrokerOptions.of(broker.url()), job.staging(QUOTA)),
                                        new ShmTransport(
                                                new PayloadStore.Place(job.regions().toString()),
                                                QUOTA,
                                                NO_AGENT)),
                                new Configuration(),
                                TestJob.run("waits"));
                TrainerClient first = job.client("t-1", TrainerTransport.of(broker.url()));
                TrainerClient second = job.client("t-2")) {
            JobDirectory files = JobDirectory.of(job.regions(), "waits");
            first.join();
            second.join();
            for (int round = 1; round <= 2; round++) {
                CompletableFuture<Void> waiting = CompletableFuture.runAsync(() -> sendOne(first));
                String counted = "\"round\":%d,".formatted(round);
                Awaitility.await("counted")
                        .atMost(TestJob.PATIENCE)
                        .until(
                                () ->
                                        Files.readAllLines(files.status()).stream()
                                                .anyMatch(
                                                        line ->
                                                                line.contains(counted)
                                                                        && line.contains(
                                                                                "\"updates\":1")));
                // The scan that sees a new trainer sees all updates too.
                try (TrainerClient third = job.client("t-3")) {
                    third.join();
                }
                assertThat(files.deadLetters()).doesNotExist();
                sendOne(second);
                waiting.get();
            }
            flink.check();
            assertThat(files.deadLetters()).doesNotExist();
        }
    }

    /** The source of one transport cannot know whether a client of another one lives. */
    @Test
    void anIdThatSpeaksByOneTransportIsNotTakenByAnother() throws Exception {
        TestJob job = new TestJob("twice", temp, NO_AGENT);
        try (EmbeddedBroker broker = EmbeddedBroker.start();
                LocalFlink flink =
                        job.start(
                                rules(2),
                                List.of(
                                        new MqttTransport(
                                                BrokerOptions.of(broker.url()), job.staging(QUOTA)),
                                        new ShmTransport(
                                                new PayloadStore.Place(job.regions().toString()),
                                                QUOTA,
                                                NO_AGENT)),
                                new Configuration(),
                                TestJob.run("twice"));
                TrainerClient first = job.client("t-1", TrainerTransport.of(broker.url()));
                TrainerClient second = job.client("t-1")) {
            first.join();
            assertThatThrownBy(second::join)
                    .isInstanceOfSatisfying(
                            TrainerException.class,
                            e -> assertThat(e.reason()).isEqualTo(RejectReason.DUPLICATE_TRAINER));
            flink.check();
        }
    }

    @Test
    void mqttGoesOverWebSocketToo() throws Exception {
        TestJob job = new TestJob("sockets", temp, NO_AGENT);
        List<String> ids = List.of("t-1", "t-2");
        try (EmbeddedBroker broker = EmbeddedBroker.startWebSocket(FreePorts.next());
                LocalFlink flink =
                        job.start(
                                ids.size(),
                                ROUNDS,
                                new MqttTransport(
                                        BrokerOptions.of(broker.url()), job.staging(QUOTA)))) {
            List<CompletableFuture<Void>> trainers =
                    ids.stream().map(id -> train(job, id, broker.url())).toList();
            for (CompletableFuture<Void> trainer : trainers) {
                trainer.get();
            }
            flink.awaitFinished();
            assertThat(job.error(ROUNDS, ids)).isLessThan(1e-6);
        }
    }
}
