// SPDX-License-Identifier: Apache-2.0

package io.tributary.job.kafka;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.tributary.cli.testutils.TestJob;
import io.tributary.job.graph.KafkaTransport;
import io.tributary.job.graph.LocalFlink;
import io.tributary.protocol.Json;
import io.tributary.protocol.RejectReason;
import io.tributary.protocol.chunk.ChunkHeader;
import io.tributary.protocol.chunk.ChunkPart;
import io.tributary.protocol.message.DeadLetter;
import io.tributary.protocol.message.Receipt;
import io.tributary.protocol.message.Receipt.Status;
import io.tributary.protocol.message.RoundId;
import io.tributary.protocol.message.UpdateKind;
import io.tributary.testbed.process.KafkaProcess;
import io.tributary.trainer.TrainerClient;
import io.tributary.trainer.TrainerTransport;
import io.tributary.trainer.TrainingRound;
import io.tributary.transport.kafka.KafkaHeaders;
import io.tributary.transport.kafka.KafkaOptions;
import io.tributary.transport.kafka.KafkaTopics;
import io.tributary.transport.kafka.KafkaUnavailableException;
import io.tributary.transport.kafka.TopicSetup;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.CoreOptions;
import org.apache.flink.configuration.StateRecoveryOptions;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.PartitionInfo;
import org.apache.kafka.common.TopicPartition;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** A whole job over a real Kafka broker, which is killed too. */
@Timeout(300)
class KafkaJobITCase {

    private static final List<String> IDS = List.of("t-1", "t-2", "t-3", "t-4");

    @TempDir static Path shared;
    private static KafkaProcess kafka;

    @TempDir Path temp;

    @BeforeAll
    static void startKafka() {
        kafka = KafkaProcess.start(shared.resolve("kafka"));
    }

    @AfterAll
    static void stopKafka() {
        kafka.close();
    }

    private static KafkaTransport transport(TestJob job) {
        return new KafkaTransport(kafka.options(), job.staging(1 << 28), false);
    }

    private static CompletableFuture<Void> train(TestJob job, String id) {
        return CompletableFuture.runAsync(
                () -> {
                    try (TrainerClient client =
                            job.client(id, TrainerTransport.kafka(kafka.options()))) {
                        client.join();
                        TestJob.train(client);
                    }
                },
                task -> new Thread(task, id).start());
    }

    private static List<ConsumerRecord<byte[], byte[]>> all(String topic) {
        List<ConsumerRecord<byte[], byte[]>> all = new ArrayList<>();
        try (KafkaConsumer<byte[], byte[]> consumer =
                new KafkaConsumer<>(kafka.options().consumer())) {
            List<TopicPartition> partitions = new ArrayList<>();
            for (PartitionInfo p : consumer.partitionsFor(topic)) {
                partitions.add(new TopicPartition(topic, p.partition()));
            }
            consumer.assign(partitions);
            consumer.seekToBeginning(partitions);
            var ends = consumer.endOffsets(partitions);
            while (partitions.stream().anyMatch(p -> consumer.position(p) < ends.get(p))) {
                consumer.poll(Duration.ofMillis(200)).forEach(all::add);
            }
        }
        return all;
    }

    @Test
    void roundsEndInTheWeightedMeanThoughTheBrokerIsKilled() throws Exception {
        TestJob job = new TestJob("rounds", temp, 1);
        try (LocalFlink flink = job.start(IDS.size(), 4, transport(job))) {
            List<CompletableFuture<Void>> trainers =
                    IDS.stream().map(id -> train(job, id)).toList();
            job.awaitModel(2);
            kafka.kill();
            kafka.restart();
            for (CompletableFuture<Void> trainer : trainers) {
                trainer.get();
            }
            flink.awaitFinished();
        }
        for (int round = 1; round <= 4; round++) {
            assertThat(job.error(round, IDS)).isLessThan(1e-6);
        }
        KafkaTopics topics = new KafkaTopics("rounds");
        List<Receipt> receipts =
                all(topics.receipts()).stream()
                        .map(r -> Json.decode(r.value(), Receipt.class))
                        .filter(r -> r.status() == Status.COMMITTED)
                        .toList();
        assertThat(receipts)
                .as("each exactly once")
                .hasSize(4 * IDS.size())
                .doesNotHaveDuplicates();
    }

    private static KafkaProducer<byte[], byte[]> producer() {
        return new KafkaProducer<>(kafka.options().producer());
    }

    private static List<DeadLetter> deadLetters(KafkaTopics topics) {
        return all(topics.deadLetters()).stream()
                .map(r -> Json.decode(r.value(), DeadLetter.class))
                .toList();
    }

    @Test
    void poisonMessagesBecomeDeadLettersAndOthersGoOn() throws Exception {
        TestJob job = new TestJob("poison", temp, 1);
        KafkaTopics topics = new KafkaTopics("poison");
        try (LocalFlink flink = job.start(1, 1, transport(job));
                KafkaProducer<byte[], byte[]> vandal = producer();
                TrainerClient good = job.client("good", TrainerTransport.kafka(kafka.options()))) {
            good.join();
            for (String topic : List.of(topics.updates(), topics.control())) {
                vandal.send(new ProducerRecord<>(topic, null, null)).get();
                vandal.send(new ProducerRecord<>(topic, "x".getBytes(), "garbage".getBytes()))
                        .get();
            }
            TrainingRound round = good.awaitRound(TestJob.PATIENCE).orElseThrow();
            assertThat(good.send(TestJob.update(round, "good")).status())
                    .isEqualTo(Status.COMMITTED);
            Awaitility.await()
                    .atMost(TestJob.PATIENCE)
                    .untilAsserted(
                            () ->
                                    assertThat(deadLetters(topics))
                                            .hasSize(4)
                                            .allMatch(l -> l.reason() == RejectReason.MALFORMED)
                                            .anyMatch(
                                                    l ->
                                                            l.source()
                                                                    .matches(
                                                                            "poison.updates/\\d+@\\d+")));
            flink.check();
        }
    }

    /** One half of an update is in the log before the savepoint, the other comes after it. */
    @Test
    void whatIsHalfAssembledSurvivesARestoreWithAnotherParallelism() throws Exception {
        TestJob job = new TestJob("half", temp, 1);
        KafkaTopics topics = new KafkaTopics("half");
        RoundId round;
        List<ProducerRecord<byte[], byte[]>> chunks;
        TrainerClient trainer = job.client("t-1", TrainerTransport.kafka(kafka.options()));
        try (KafkaProducer<byte[], byte[]> producer = producer()) {
            String savepoint;
            try (LocalFlink flink = job.start(1, 1, transport(job))) {
                trainer.join();
                round = trainer.awaitRound(TestJob.PATIENCE).orElseThrow().id();
                chunks = chunks(topics, "t-1", round);
                for (ProducerRecord<byte[], byte[]> chunk : chunks.subList(0, 2)) {
                    producer.send(chunk).get();
                }
                Awaitility.await("staged").until(() -> job.regionFiles() == 1);
                savepoint = flink.stopWithSavepoint(temp.resolve("savepoints"));
            }
            // Another host would not have the half that was staged.
            job.deleteRegions();
            Configuration restore = new Configuration();
            restore.set(StateRecoveryOptions.SAVEPOINT_PATH, savepoint);
            restore.set(CoreOptions.DEFAULT_PARALLELISM, 3);
            try (LocalFlink flink = job.start(1, 1, transport(job), restore)) {
                for (ProducerRecord<byte[], byte[]> chunk : chunks.subList(2, chunks.size())) {
                    producer.send(chunk).get();
                }
                job.awaitModel(1);
                flink.check();
            }
        }
        assertThat(job.error(1, List.of("t-1"))).isLessThan(1e-6);
        trainer.close();
    }

    private static List<ProducerRecord<byte[], byte[]>> chunks(
            KafkaTopics topics, String trainer, RoundId round) {
        byte[] update = TestJob.bytes(trainer, round.round());
        int count = ChunkPart.count(update.length, ChunkPart.MAX_CHUNK_BYTES / 4);
        int crc = ChunkPart.crc(ByteBuffer.wrap(update));
        List<ProducerRecord<byte[], byte[]>> records = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            int from = i * (ChunkPart.MAX_CHUNK_BYTES / 4);
            byte[] part =
                    Arrays.copyOfRange(
                            update,
                            from,
                            Math.min(update.length, from + ChunkPart.MAX_CHUNK_BYTES / 4));
            ChunkHeader header =
                    new ChunkHeader(
                            topics.job(),
                            trainer,
                            round.round(),
                            round.epoch(),
                            "i",
                            TestJob.run(topics.job()).token(trainer, "i"),
                            1,
                            TestJob.samples(trainer),
                            UpdateKind.WEIGHTS,
                            Map.of(),
                            new ChunkPart(
                                    i,
                                    count,
                                    ChunkPart.MAX_CHUNK_BYTES / 4,
                                    update.length,
                                    crc,
                                    ChunkPart.crc(ByteBuffer.wrap(part))));
            records.add(
                    new ProducerRecord<>(
                            topics.updates(),
                            null,
                            trainer.getBytes(),
                            part,
                            KafkaHeaders.of(header.toProperties())));
        }
        return records;
    }

    @Test
    void topicsAreMadeAndWrongSettingsAreReported() throws Exception {
        KafkaTopics topics = new KafkaTopics("settings");
        try (Admin admin = Admin.create(kafka.options().client())) {
            admin.createTopics(List.of(new NewTopic(topics.model(), 1, (short) 1))).all().get();
            assertThatThrownBy(() -> TopicSetup.ensure(kafka.options(), topics))
                    .isInstanceOf(IllegalArgumentException.class)
                    .hasMessageStartingWith("topic 'settings.model' has ")
                    .hasMessageContaining("expected ")
                    .hasMessageContaining("alter it with kafka-configs");
            admin.deleteTopics(List.of(topics.model())).all().get();
            // Deleting takes a moment, in which the topic is there and unknown.
            Awaitility.await()
                    .ignoreException(KafkaUnavailableException.class)
                    .untilAsserted(
                            () ->
                                    assertThat(TopicSetup.ensure(kafka.options(), topics))
                                            .contains("settings.model"));
            assertThat(TopicSetup.ensure(kafka.options(), topics)).isEmpty();
        }
        assertThatThrownBy(() -> TopicSetup.ensure(KafkaOptions.of("127.0.0.1:1"), topics))
                .hasMessageContaining("127.0.0.1:1");
    }

    @Test
    void aTopicThatIsDeletedWhileRunningIsMadeAnew() throws Exception {
        TestJob job = new TestJob("deleted", temp, 1);
        KafkaTopics topics = new KafkaTopics("deleted");
        try (LocalFlink flink = job.start(1, 3, transport(job));
                Admin admin = Admin.create(kafka.options().client());
                TrainerClient trainer =
                        job.client("t-1", TrainerTransport.kafka(kafka.options()))) {
            trainer.join();
            for (int round = 1; round <= 3; round++) {
                TrainingRound now = trainer.awaitRound(TestJob.PATIENCE).orElseThrow();
                if (round == 2) {
                    admin.deleteTopics(List.of(topics.updates())).all().get();
                }
                assertThat(trainer.send(TestJob.update(now, "t-1")).status())
                        .isEqualTo(Status.COMMITTED);
            }
            flink.check();
        }
        for (int round = 1; round <= 3; round++) {
            job.awaitModel(round);
            assertThat(job.error(round, List.of("t-1"))).isLessThan(1e-6);
        }
    }
}
