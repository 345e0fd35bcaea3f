// SPDX-License-Identifier: Apache-2.0

package io.tributary.job.kafka;

import static org.assertj.core.api.Assertions.assertThat;

import io.tributary.job.graph.KafkaTransport;
import io.tributary.job.graph.LocalFlink;
import io.tributary.job.process.KafkaProcess;
import io.tributary.job.testutils.TestJob;
import io.tributary.protocol.Json;
import io.tributary.protocol.kafka.KafkaTopics;
import io.tributary.protocol.message.Receipt;
import io.tributary.protocol.message.Receipt.Status;
import io.tributary.sources.staging.Staging;
import io.tributary.trainer.TrainerClient;
import io.tributary.trainer.Transport;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.PartitionInfo;
import org.apache.kafka.common.TopicPartition;
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
        return new KafkaTransport(
                kafka.options(),
                new Staging(job.regions().toString(), 1 << 28, Duration.ofSeconds(60)),
                false);
    }

    private static CompletableFuture<Void> train(TestJob job, String id) {
        return CompletableFuture.runAsync(
                () -> {
                    try (TrainerClient client = job.client(id, Transport.kafka(kafka.options()))) {
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
}
