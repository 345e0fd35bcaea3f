// SPDX-License-Identifier: Apache-2.0

package io.tributary.job.graph;

import static org.assertj.core.api.Assertions.assertThat;

import io.tributary.cli.testutils.TestJob;
import io.tributary.job.testutils.SmallModel;
import io.tributary.memory.region.JobDirectory;
import io.tributary.memory.region.RegionWriter;
import io.tributary.protocol.message.Receipt.Status;
import io.tributary.protocol.message.Topics;
import io.tributary.protocol.message.UpdateDescription;
import io.tributary.protocol.message.UpdateKind;
import io.tributary.testbed.process.EmbeddedBroker;
import io.tributary.testbed.process.KafkaProcess;
import io.tributary.trainer.TrainerClient;
import io.tributary.trainer.TrainerTransport;
import io.tributary.trainer.TrainingRound;
import io.tributary.transport.kafka.KafkaHeaders;
import io.tributary.transport.kafka.KafkaTopics;
import io.tributary.transport.mqtt.BrokerOptions;
import io.tributary.transport.mqtt.MqttLink;
import io.tributary.transport.mqtt.Publication;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.UUID;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/**
 * Item 5: whatever comes in, the job runs on without a restart and an honest trainer's update
 * counts. More inputs, or others, by {@code -Dtributary.fuzz=COUNT} and {@code
 * -Dtributary.fuzz.seed=SEED}.
 */
@Timeout(1800)
class FuzzITCase {

    private static final int INPUTS = Integer.getInteger("tributary.fuzz", 10_000);
    private static final long SEED = Long.getLong("tributary.fuzz.seed", 1);

    @TempDir Path temp;

    private static FuzzInputs inputs(TestJob job, TrainingRound round) {
        return new FuzzInputs(SEED, job.name(), TestJob.run(job.name()), round.id());
    }

    /** The honest update counts, and nothing has failed meanwhile. */
    private static void assertUnharmed(
            LocalFlink flink, TestJob job, TrainerClient honest, TrainingRound round)
            throws Exception {
        assertThat(honest.send(TestJob.update(round, honest.id())).status())
                .isEqualTo(Status.COMMITTED);
        HttpResponse<String> exceptions =
                HttpClient.newHttpClient()
                        .send(
                                HttpRequest.newBuilder(
                                                URI.create(
                                                        "%s/jobs/%s/exceptions"
                                                                .formatted(
                                                                        flink.url(),
                                                                        flink.job().getJobID())))
                                        .build(),
                                HttpResponse.BodyHandlers.ofString());
        assertThat(exceptions.body()).contains("\"entries\":[]");
        flink.check();
        job.awaitModel(1);
        assertThat(job.error(1, List.of(honest.id()))).isLessThan(1e-6);
    }

    @Test
    void mqtt() throws Exception {
        TestJob job = new TestJob("fuzz", temp, 1);
        Topics topics = new Topics("fuzz");
        try (EmbeddedBroker broker = EmbeddedBroker.start();
                LocalFlink flink =
                        job.start(
                                1,
                                1,
                                new MqttTransport(
                                        BrokerOptions.of(broker.url()), job.staging(1 << 26)));
                MqttLink vandal =
                        MqttLink.connect(
                                BrokerOptions.of(broker.url()),
                                new MqttLink.Settings("vandal", 1, Optional.empty()),
                                message -> message.done().run());
                TrainerClient honest =
                        job.client("t-1", TrainerTransport.mqtt(BrokerOptions.of(broker.url())))) {
            honest.join();
            TrainingRound round = honest.awaitRound(TestJob.PATIENCE).orElseThrow();
            FuzzInputs inputs = inputs(job, round);
            var all =
                    IntStream.range(0, INPUTS)
                            .mapToObj(
                                    i ->
                                            i % 8 == 0
                                                    ? new Publication(
                                                            topics.control("fuzz-" + i % 3),
                                                            inputs.control(),
                                                            Map.of(),
                                                            false)
                                                    : update(topics, inputs.chunk()))
                            .iterator();
            vandal.publish(() -> all);
            assertUnharmed(flink, job, honest, round);
        }
    }

    private static Publication update(Topics topics, FuzzInputs.Input input) {
        String sender =
                input.properties().getOrDefault("trainer", "").equals(FuzzInputs.MEMBER)
                        ? FuzzInputs.MEMBER
                        : "stranger";
        Map<String, String> carried = new TreeMap<>(input.properties());
        // What MQTT has no encoding for, and what Paho does not send, never gets to a broker.
        carried.entrySet()
                .removeIf(p -> !carriedByMqtt(p.getKey()) || !carriedByMqtt(p.getValue()));
        return new Publication(topics.update(sender), input.payload(), carried, false);
    }

    private static boolean carriedByMqtt(String text) {
        return text.getBytes(StandardCharsets.UTF_8).length <= 0xffff
                && text.chars().noneMatch(Character::isISOControl);
    }

    @Test
    void kafka() throws Exception {
        TestJob job = new TestJob("fuzz", temp, 1);
        KafkaTopics topics = new KafkaTopics("fuzz");
        try (KafkaProcess kafka = KafkaProcess.start(temp.resolve("kafka"));
                LocalFlink flink =
                        job.start(
                                1,
                                1,
                                new KafkaTransport(kafka.options(), job.staging(1 << 26), false));
                KafkaProducer<byte[], byte[]> vandal =
                        new KafkaProducer<>(kafka.options().producer());
                TrainerClient honest = job.client("t-1", TrainerTransport.kafka(kafka.options()))) {
            honest.join();
            TrainingRound round = honest.awaitRound(TestJob.PATIENCE).orElseThrow();
            FuzzInputs inputs = inputs(job, round);
            // The one that ended a job: it was quoted in a dead letter that was too large to be
            // sent.
            vandal.send(
                    new ProducerRecord<>(
                            topics.updates(),
                            null,
                            "t-1".getBytes(),
                            new byte[1],
                            KafkaHeaders.of(
                                    Map.of(
                                            "job", "fuzz",
                                            "trainer", "t-1",
                                            "instance", "i",
                                            "token", TestJob.run("fuzz").token("t-1", "i"),
                                            "kind", "WEIGHTS",
                                            "round", "1",
                                            "epoch", "0",
                                            "attempt", "1",
                                            "samples", "9".repeat(1_200_000)))));
            vandal.send(
                    new ProducerRecord<>(
                            topics.control(), "k".repeat(1_200_000).getBytes(), new byte[] {1}));
            for (int i = 0; i < INPUTS; i++) {
                if (i % 8 == 0) {
                    vandal.send(
                            new ProducerRecord<>(
                                    topics.control(),
                                    ("fuzz-" + i % 3).getBytes(),
                                    inputs.control()));
                } else {
                    FuzzInputs.Input input = inputs.chunk();
                    vandal.send(
                            new ProducerRecord<>(
                                    topics.updates(),
                                    null,
                                    i % 16 == 1 ? null : FuzzInputs.MEMBER.getBytes(),
                                    i % 32 == 2 ? null : input.payload(),
                                    KafkaHeaders.of(input.properties())));
                }
            }
            vandal.flush();
            assertUnharmed(flink, job, honest, round);
        }
    }

    @Test
    void sharedMemory() throws Exception {
        TestJob job = new TestJob("fuzz", temp, 1);
        JobDirectory directory = JobDirectory.of(job.regions(), "fuzz");
        try (LocalFlink flink = job.start(1, 1, 1L << 30);
                TrainerClient honest = job.client("t-1")) {
            honest.join();
            TrainingRound round = honest.awaitRound(TestJob.PATIENCE).orElseThrow();
            FuzzInputs inputs = inputs(job, round);
            byte[] sound = region(directory, round);
            for (int done = 0; done < INPUTS; done += 1000) {
                List<Path> batch = new ArrayList<>();
                long letters = lines(directory.deadLetters());
                for (int i = 0; i < Math.min(1000, INPUTS - done); i++) {
                    Path file = directory.update(i % Topics.LANES, UUID.randomUUID());
                    Path part = file.resolveSibling("." + file.getFileName());
                    Files.createDirectories(part.getParent());
                    Files.write(part, inputs.region(sound));
                    batch.add(Files.move(part, file, StandardCopyOption.ATOMIC_MOVE));
                }
                Path stranger = directory.trainer("fuzz-" + done);
                Files.write(stranger, inputs.control());
                // It says of each file what is wrong with it, and so that it has seen it.
                Awaitility.await("all have been looked at")
                        .atMost(TestJob.PATIENCE)
                        .until(() -> lines(directory.deadLetters()) >= letters + batch.size() / 2);
                for (Path file : batch) {
                    Files.deleteIfExists(file);
                }
                Files.deleteIfExists(stranger);
            }
            assertUnharmed(flink, job, honest, round);
        }
    }

    private static long lines(Path file) throws Exception {
        if (!Files.exists(file)) {
            return 0;
        }
        try (Stream<String> lines = Files.lines(file)) {
            return lines.count();
        }
    }

    /** A small region of a member whose safetensors header is a model's, and whose data is not. */
    private static byte[] region(JobDirectory directory, TrainingRound round) throws Exception {
        byte[] payload = Arrays.copyOf(SmallModel.bytes(7), 3000);
        try (RegionWriter writer =
                directory.regions(1L << 30).reserve("fuzz", payload.length).orElseThrow()) {
            writer.write(0, ByteBuffer.wrap(payload));
            writer.publish(
                    7,
                    new UpdateDescription(
                                    "fuzz",
                                    FuzzInputs.MEMBER,
                                    round.id().round(),
                                    round.id().epoch(),
                                    1,
                                    5,
                                    UpdateKind.WEIGHTS,
                                    Map.of())
                            .encode(4000));
            Path file = Path.of(writer.payload().path());
            byte[] region = Files.readAllBytes(file);
            Files.delete(file);
            return region;
        }
    }
}
