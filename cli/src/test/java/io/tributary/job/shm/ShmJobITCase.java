// SPDX-License-Identifier: Apache-2.0

package io.tributary.job.shm;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.awaitility.Awaitility.await;

import io.tributary.cli.testutils.TestJob;
import io.tributary.job.graph.LocalFlink;
import io.tributary.job.graph.MqttTransport;
import io.tributary.job.testutils.SmallModel;
import io.tributary.memory.region.JobDirectory;
import io.tributary.memory.region.RegionDirectory;
import io.tributary.memory.region.RegionWriter;
import io.tributary.memory.region.TensorFile;
import io.tributary.node.agent.AgentOptions;
import io.tributary.node.agent.FreePorts;
import io.tributary.node.agent.NodeAgent;
import io.tributary.protocol.Json;
import io.tributary.protocol.RejectReason;
import io.tributary.protocol.message.DeadLetter;
import io.tributary.protocol.message.Receipt;
import io.tributary.protocol.message.Receipt.Status;
import io.tributary.protocol.message.RoundId;
import io.tributary.protocol.message.RoundStatus;
import io.tributary.protocol.message.Topics;
import io.tributary.protocol.message.UpdateDescription;
import io.tributary.protocol.message.UpdateKind;
import io.tributary.testbed.process.EmbeddedBroker;
import io.tributary.trainer.ModelUpdate;
import io.tributary.trainer.TrainerClient;
import io.tributary.trainer.TrainerException;
import io.tributary.trainer.TrainerTransport;
import io.tributary.trainer.TrainingRound;
import io.tributary.transport.mqtt.BrokerOptions;
import java.io.IOException;
import java.net.URI;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.function.Supplier;
import java.util.stream.IntStream;
import java.util.zip.CRC32C;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** The job between colocated trainers and a real agent. */
@Timeout(180)
class ShmJobITCase {

    private static final long QUOTA = 1 << 28;

    @TempDir Path temp;

    private final int port = FreePorts.next(2);

    private NodeAgent agent(AgentOptions.Bpf bpf) throws IOException {
        return NodeAgent.start(new AgentOptions(port, bpf, temp.resolve("regions")));
    }

    private static CompletableFuture<Void> run(TestJob job, String id) {
        return run(() -> job.client(id), id);
    }

    private static CompletableFuture<Void> run(Supplier<TrainerClient> connect, String id) {
        return CompletableFuture.runAsync(
                () -> {
                    try (TrainerClient client = connect.get()) {
                        client.join();
                        TestJob.train(client);
                    }
                },
                task -> new Thread(task, id).start());
    }

    private static List<DeadLetter> deadLetters(TestJob job) throws IOException {
        Path file = JobDirectory.of(job.regions(), job.name()).deadLetters();
        List<DeadLetter> letters = new ArrayList<>();
        if (Files.exists(file)) {
            for (String line : Files.readAllLines(file)) {
                letters.add(Json.decode(line.getBytes(), DeadLetter.class));
            }
        }
        return letters;
    }

    /** With the kernel's eBPF, and with an agent that relays. */
    @ParameterizedTest
    @EnumSource(names = {"AUTO", "OFF"})
    void roundsEndInTheWeightedMeanAndAllIsGivenBack(AgentOptions.Bpf bpf) throws Exception {
        TestJob job = new TestJob("it", temp, port);
        List<String> ids = List.of("t-1", "t-2", "t-3", "t-4", "t-5");
        try (NodeAgent agent = agent(bpf);
                LocalFlink flink = job.start(ids.size(), 3, QUOTA)) {
            CompletableFuture.allOf(
                            ids.stream().map(id -> run(job, id)).toArray(CompletableFuture[]::new))
                    .get();
            flink.check();
            for (int round = 1; round <= 3; round++) {
                assertThat(job.error(round, ids)).isLessThan(1e-6);
            }
            Path updates = JobDirectory.of(job.regions(), "it").path().resolve("updates");
            await("the trainers have deleted, or the agent reaps, what was released")
                    .untilAsserted(() -> assertThat(unreleased(updates)).isEmpty());
            String metrics =
                    new String(
                            URI.create("http://127.0.0.1:%d/metrics".formatted(port + 1))
                                    .toURL()
                                    .openStream()
                                    .readAllBytes());
            assertThat(metrics)
                    .as("the job's sinks may ring")
                    .contains("tributary_agent_rejected_total{reason=\"NO_HELLO\"} 0");
        }
        assertThat(deadLetters(job)).isEmpty();
    }

    private static List<Path> unreleased(Path updates) {
        return RegionDirectory.list(updates).stream()
                .filter(f -> JobDirectory.claim(f).isPresent())
                .toList();
    }

    /** Nothing depends on the agent but speed: a scan finds what was not rung for. */
    @Test
    void aRoundEndsWithoutAnAgentAndWhenOneComesAndGoes() throws Exception {
        TestJob job = new TestJob("it", temp, port);
        List<String> ids = List.of("t-1", "t-2");
        try (LocalFlink flink = job.start(2, 3, QUOTA)) {
            CompletableFuture<Void> first = run(job, "t-1");
            CompletableFuture<Void> second = run(job, "t-2");
            await().atMost(TestJob.PATIENCE).until(() -> Files.exists(job.model(1)));
            agent(AgentOptions.Bpf.AUTO).close();
            try (NodeAgent agent = agent(AgentOptions.Bpf.AUTO)) {
                first.get();
                second.get();
            }
            flink.check();
            assertThat(job.error(3, ids)).isLessThan(1e-6);
        }
    }

    @Test
    void badRegionsAreRejectedWithAReasonAndTheRoundGoesOn() throws Exception {
        TestJob job = new TestJob("it", temp, port);
        JobDirectory directory = JobDirectory.of(job.regions(), "it");
        try (NodeAgent agent = agent(AgentOptions.Bpf.AUTO);
                LocalFlink flink = job.start(2, 1, QUOTA);
                TrainerClient good = job.client("good");
                TrainerClient bad = job.client("bad")) {
            good.join();
            bad.join();
            try (TrainerClient twin = job.client("good")) {
                assertThatThrownBy(twin::join)
                        .isInstanceOfSatisfying(
                                TrainerException.class,
                                e ->
                                        assertThat(e.reason())
                                                .isEqualTo(RejectReason.DUPLICATE_TRAINER));
            }
            TrainingRound round = bad.awaitRound(TestJob.PATIENCE).orElseThrow();
            TrainingRound other = good.awaitRound(TestJob.PATIENCE).orElseThrow();
            byte[] file = SmallModel.bytes(1);

            ModelUpdate unfinished = round.newUpdate();
            assertThatThrownBy(() -> bad.send(unfinished.samples(1)))
                    .hasMessageContaining("have not been written");
            ModelUpdate infinite = TestJob.update(round, "bad");
            infinite.floats("layer.bias").put(7, Float.NaN);
            Receipt rejected = bad.send(infinite);
            assertThat(rejected.status()).isEqualTo(Status.REJECTED);
            assertThat(rejected.text()).contains("tensor 'layer.bias' has NaN at index [7]");

            try (RegionWriter wrong = write(directory, file, "bad", "it")) {
                wrong.publish(0xBAD, description("bad", "it", round.id()));
                expect(job, RejectReason.CHECKSUM);
            }
            try (RegionWriter foreign = write(directory, file, "bad", "elsewhere")) {
                foreign.publish(crc(file), description("bad", "elsewhere", round.id()));
                expect(job, RejectReason.WRONG_JOB);
            }
            try (RegionWriter garbage = write(directory, new byte[1000], "bad", "it")) {
                garbage.publish(crc(new byte[1000]), description("bad", "it", round.id()));
                expect(job, RejectReason.MALFORMED);
            }
            Path truncated = directory.update(3, UUID.randomUUID());
            try (RegionWriter whole = write(directory, file, "bad", "it")) {
                whole.publish(crc(file), description("bad", "it", round.id()));
                byte[] region = Files.readAllBytes(Path.of(whole.payload().path()));
                Files.write(truncated, Arrays.copyOf(region, region.length / 2));
            }
            await().atMost(TestJob.PATIENCE)
                    .until(
                            () ->
                                    deadLetters(job).stream()
                                            .anyMatch(l -> l.text().contains("it was truncated")));
            await().atMost(TestJob.PATIENCE)
                    .until(
                            () ->
                                    Files.readAllLines(directory.status()).stream()
                                            .map(l -> Json.decode(l.getBytes(), RoundStatus.class))
                                            .anyMatch(s -> s.updates() == 1));

            good.send(TestJob.update(other, "good"));
            // The whole region above was a good update of this trainer, so its own is another.
            assertThat(bad.send(TestJob.update(round, "bad")).reason())
                    .isIn(RejectReason.DIFFERENT_BYTES, RejectReason.LATE);
            await().atMost(TestJob.PATIENCE).until(() -> Files.exists(job.model(1)));
            flink.check();
        }
    }

    private static RegionWriter write(
            JobDirectory directory, byte[] payload, String trainer, String job) throws IOException {
        RegionWriter writer =
                directory
                        .regions(QUOTA)
                        .reserve(
                                JobDirectory.updateName(Topics.lane(trainer), UUID.randomUUID()),
                                payload.length)
                        .orElseThrow();
        writer.write(0, ByteBuffer.wrap(payload));
        return writer;
    }

    private static String description(String trainer, String job, RoundId round) {
        return new UpdateDescription(
                        job,
                        trainer,
                        round.round(),
                        round.epoch(),
                        1,
                        5,
                        UpdateKind.WEIGHTS,
                        Map.of())
                .encode(4000);
    }

    private static int crc(byte[] bytes) {
        CRC32C crc = new CRC32C();
        crc.update(bytes);
        return (int) crc.getValue();
    }

    private static void expect(TestJob job, RejectReason reason) {
        await().atMost(TestJob.PATIENCE)
                .until(() -> deadLetters(job).stream().anyMatch(l -> l.reason() == reason));
    }

    /** Room for one update at a time: trainers wait for room, and the round ends all the same. */
    @Test
    void aFullQuotaHoldsTrainersBack() throws Exception {
        TestJob job = new TestJob("it", temp, port);
        List<String> ids = List.of("t-1", "t-2", "t-3", "t-4");
        long update = SmallModel.HEADER.fileLength() + 4096;
        // A model or two, the sums of a tree with six leaves, and one update and a half.
        long quota = 2 * update + update / 2 + update * 6;
        try (NodeAgent agent = agent(AgentOptions.Bpf.AUTO);
                LocalFlink flink = job.start(ids.size(), 2, quota)) {
            CompletableFuture.allOf(
                            ids.stream().map(id -> run(job, id)).toArray(CompletableFuture[]::new))
                    .get();
            flink.check();
            assertThat(job.error(2, ids)).isLessThan(1e-6);
            assertThat(RegionDirectory.usedBytes(job.regions())).isLessThanOrEqualTo(quota);
        }
    }

    /** Those who have been answered stay, and give their regions to those who wait. */
    @Test
    void roomThatNobodyUsesIsGivenBack() throws Exception {
        TestJob job = new TestJob("it", temp, port);
        List<String> ids = IntStream.range(0, 8).mapToObj(i -> "t-" + i).toList();
        long update = SmallModel.HEADER.fileLength() + 4096;
        CountDownLatch answered = new CountDownLatch(ids.size());
        try (LocalFlink flink = job.start(ids.size(), 1, 5 * update + update / 2)) {
            List<CompletableFuture<Receipt>> all =
                    ids.stream()
                            .map(
                                    id ->
                                            CompletableFuture.supplyAsync(
                                                    () -> sendAndStay(job, id, answered),
                                                    task -> new Thread(task, id).start()))
                            .toList();
            for (CompletableFuture<Receipt> one : all) {
                assertThat(one.get(2, TimeUnit.MINUTES).status()).isEqualTo(Status.COMMITTED);
            }
            flink.check();
            assertThat(job.error(1, ids)).isLessThan(1e-6);
            assertThat(job.regions().resolve("it/wanted")).isEmptyDirectory();
        }
    }

    private static Receipt sendAndStay(TestJob job, String id, CountDownLatch answered) {
        try (TrainerClient client = job.client(id)) {
            client.join();
            TrainingRound round = client.awaitRound(TestJob.PATIENCE).orElseThrow();
            Receipt receipt = client.send(TestJob.update(round, id));
            answered.countDown();
            answered.await();
            return receipt;
        } catch (InterruptedException e) {
            throw new IllegalStateException(e);
        }
    }

    @Test
    void anUpdateThatCanNeverFitIsRejectedAtOnce() throws Exception {
        TestJob job = new TestJob("it", temp, port);
        long update = SmallModel.HEADER.fileLength() + 4096;
        try (LocalFlink flink = job.start(1, 1, 3 * update);
                TrainerClient client = job.client("t-1")) {
            client.join();
            TrainingRound round = client.awaitRound(TestJob.PATIENCE).orElseThrow();
            JobDirectory.of(job.regions(), "it").quotaBytes(update / 2);
            assertThatThrownBy(round::newUpdate)
                    .hasMessageContaining("the quota has no room for it")
                    .hasMessageContaining("raise regions.quota");
            flink.check();
        }
    }

    @Test
    void theModelIsThatOfMqtt() throws Exception {
        TestJob shm = new TestJob("shm", temp, port);
        TestJob mqtt = new TestJob("mqtt", temp, port);
        List<String> ids = List.of("t-1", "t-2", "t-3");
        try (LocalFlink flink = shm.start(ids.size(), 1, QUOTA)) {
            CompletableFuture.allOf(
                            ids.stream().map(id -> run(shm, id)).toArray(CompletableFuture[]::new))
                    .get();
            flink.check();
        }
        try (EmbeddedBroker broker = EmbeddedBroker.start();
                LocalFlink flink =
                        mqtt.start(
                                ids.size(),
                                1,
                                new MqttTransport(
                                        BrokerOptions.of(broker.url()), mqtt.staging(QUOTA)))) {
            TrainerTransport way = TrainerTransport.mqtt(BrokerOptions.of(broker.url()));
            CompletableFuture.allOf(
                            ids.stream()
                                    .map(id -> run(() -> mqtt.client(id, way), id))
                                    .toArray(CompletableFuture[]::new))
                    .get();
            flink.check();
        }
        try (TensorFile one = TensorFile.open(shm.model(1));
                TensorFile other = TensorFile.open(mqtt.model(1))) {
            assertThat(SmallModel.values(one, "steps"))
                    .isEqualTo(SmallModel.values(other, "steps"));
            double[] weights = SmallModel.values(one, "layer.weight");
            double[] expected = SmallModel.values(other, "layer.weight");
            for (int i = 0; i < weights.length; i++) {
                if (Math.abs(weights[i] - expected[i]) > 1e-5) {
                    assertThat(weights[i]).as("element " + i).isEqualTo(expected[i]);
                }
            }
        }
    }

    @Test
    void twoJobsOnOneNodeDoNotMeet() throws Exception {
        TestJob one = new TestJob("one", temp, port);
        TestJob two = new TestJob("two", temp, port);
        List<String> ids = List.of("t-1", "t-2");
        try (NodeAgent agent = agent(AgentOptions.Bpf.AUTO);
                LocalFlink first = one.start(2, 2, QUOTA);
                LocalFlink second = two.start(1, 2, QUOTA)) {
            // The same trainer id in both.
            CompletableFuture.allOf(run(one, "t-1"), run(one, "t-2"), run(two, "t-1")).get();
            first.check();
            second.check();
            assertThat(one.error(2, ids)).isLessThan(1e-6);
            assertThat(two.error(2, List.of("t-1"))).isLessThan(1e-6);
        }
    }
}
