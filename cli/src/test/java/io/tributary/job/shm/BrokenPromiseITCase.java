// SPDX-License-Identifier: Apache-2.0

package io.tributary.job.shm;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import io.tributary.cli.testutils.TestJob;
import io.tributary.job.graph.LocalFlink;
import io.tributary.job.graph.ShmTransport;
import io.tributary.job.testutils.SmallModel;
import io.tributary.memory.region.JobDirectory;
import io.tributary.memory.region.OwnedRegion;
import io.tributary.memory.region.RecentReceipts;
import io.tributary.node.PayloadStore;
import io.tributary.operators.coordinator.RoundRules;
import io.tributary.operators.optimizer.Algorithm;
import io.tributary.protocol.Json;
import io.tributary.protocol.RejectReason;
import io.tributary.protocol.message.Receipt;
import io.tributary.protocol.message.Receipt.Status;
import io.tributary.protocol.message.RoundId;
import io.tributary.protocol.message.RoundPlan;
import io.tributary.protocol.message.RoundStatus;
import io.tributary.protocol.message.Topics;
import io.tributary.protocol.message.UpdateDescription;
import io.tributary.protocol.message.UpdateKind;
import io.tributary.trainer.TrainerClient;
import io.tributary.trainer.TrainingRound;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.Random;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import java.util.stream.Stream;
import java.util.zip.CRC32C;
import org.apache.flink.configuration.Configuration;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Updates that are not finite when they are folded, though somebody has said or seen that. */
@Timeout(180)
class BrokenPromiseITCase {

    private static final long QUOTA = 1 << 28;
    private static final int NO_AGENT = 1;

    @TempDir Path temp;

    private final List<OwnedRegion> regions = new ArrayList<>();

    @AfterEach
    void deleteRegions() {
        regions.forEach(OwnedRegion::delete);
    }

    private LocalFlink start(TestJob job, int rounds, int quorum, RoundRules.Timing timing)
            throws Exception {
        return job.start(
                new RoundRules(
                        rounds,
                        new RoundRules.Quorum(2, quorum),
                        new RoundRules.Patience(Duration.ZERO, Duration.ZERO, Duration.ofHours(1)),
                        new RoundRules.Folding(timing, UpdateKind.WEIGHTS, Algorithm.FEDAVG, true),
                        Map.of(),
                        RoundRules.Limits.DEFAULT),
                new ShmTransport(new PayloadStore.Place(job.regions().toString()), QUOTA, NO_AGENT),
                new Configuration(),
                TestJob.run(job.name()));
    }

    /** Sends bytes as they are, past the client, which would look at them. */
    private OwnedRegion send(TestJob job, RoundId round, int attempt, byte[] bytes, boolean promise)
            throws IOException {
        OwnedRegion region =
                JobDirectory.of(job.regions(), job.name())
                        .regions(QUOTA)
                        .own(
                                JobDirectory.updateName(Topics.lane("liar"), UUID.randomUUID()),
                                bytes.length)
                        .orElseThrow();
        regions.add(region);
        region.memory().slice(0, bytes.length).put(bytes);
        CRC32C crc = new CRC32C();
        crc.update(bytes);
        region.publish(
                new OwnedRegion.Content(OptionalInt.of((int) crc.getValue()), promise),
                new UpdateDescription(
                                job.name(),
                                "liar",
                                round.round(),
                                round.epoch(),
                                attempt,
                                TestJob.samples("liar"),
                                UpdateKind.WEIGHTS,
                                Map.of())
                        .encode(4000));
        return region;
    }

    private static Receipt answer(TestJob job, int attempt) {
        Path file = JobDirectory.of(job.regions(), job.name()).receipts("liar");
        return await("the answer to attempt " + attempt)
                .atMost(TestJob.PATIENCE)
                .until(
                        () ->
                                RecentReceipts.read(file).receipts().stream()
                                        .filter(r -> r.attempt() == attempt)
                                        .findFirst(),
                        Optional::isPresent)
                .orElseThrow();
    }

    private static int restores(TestJob job) {
        return JobDirectory.read(
                        JobDirectory.of(job.regions(), job.name()).round(), RoundPlan.class)
                .orElseThrow()
                .restores();
    }

    private static int newestCheckpoint(TestJob job) throws IOException {
        try (Stream<Path> files = Files.walk(job.work().resolve(job.name() + "/checkpoints"))) {
            return files.map(file -> file.getFileName().toString())
                    .filter(name -> name.startsWith("chk-"))
                    .mapToInt(name -> Integer.parseInt(name.substring(4)))
                    .max()
                    .orElse(0);
        }
    }

    private static byte[] poisoned(byte[] good, Random random) {
        byte[] bytes = good.clone();
        int elements = (int) (SmallModel.HEADER.fileLength() - SmallModel.HEADER.dataOffset()) / 4;
        // The first half of the file is float32, little-endian: all exponent bits.
        int at = (int) SmallModel.HEADER.dataOffset() + 4 * random.nextInt(elements / 2);
        bytes[at + 2] = (byte) 0x80;
        bytes[at + 3] = random.nextBoolean() ? (byte) 0x7F : (byte) 0xFF;
        return bytes;
    }

    private static CompletableFuture<Void> train(TestJob job) {
        return CompletableFuture.runAsync(
                () -> {
                    try (TrainerClient client = job.client("honest")) {
                        client.join();
                        TestJob.train(client);
                    }
                },
                task -> new Thread(task, "honest").start());
    }

    /** Its trainer is told, its promise is not taken any more, and no model has seen it. */
    @ParameterizedTest
    @ValueSource(ints = {0, 1, 5})
    void aPoisonedUpdateCostsOneRestartHoweverOftenItComesAgain(int checkpoints) throws Exception {
        TestJob job = new TestJob("it", temp, NO_AGENT);
        Random random = new Random(checkpoints);
        try (LocalFlink flink = start(job, 2, 2, RoundRules.Timing.EAGER);
                TrainerClient liar = job.client("liar")) {
            liar.join();
            CompletableFuture<Void> honest = train(job);
            TrainingRound round = liar.awaitRound(TestJob.PATIENCE).orElseThrow();
            byte[] good = TestJob.bytes("liar", 1);

            send(job, round.id(), 1, poisoned(good, random), true);
            assertThat(answer(job, 1).reason()).isEqualTo(RejectReason.PROMISE_NOT_TAKEN);
            int before = newestCheckpoint(job);
            await().atMost(TestJob.PATIENCE)
                    .until(() -> newestCheckpoint(job) >= before + checkpoints);
            send(job, round.id(), 2, poisoned(good, random), true);
            assertThat(answer(job, 2).reason()).isEqualTo(RejectReason.PROMISE_NOT_TAKEN);
            send(job, round.id(), 3, poisoned(good, random), false);
            assertThat(answer(job, 3).reason()).isEqualTo(RejectReason.NOT_FINITE);
            send(job, round.id(), 4, good, false);
            assertThat(answer(job, 4).status()).isEqualTo(Status.COMMITTED);

            // The client promises, hears that its word is not taken, and sends without.
            TrainingRound next = liar.awaitRound(TestJob.PATIENCE).orElseThrow();
            assertThat(liar.send(TestJob.update(next, "liar")).status())
                    .isEqualTo(Status.COMMITTED);
            honest.get();
            flink.check();
            for (int number = 1; number <= 2; number++) {
                assertThat(job.error(number, List.of("honest", "liar"))).isLessThan(1e-7);
            }
            assertThat(restores(job)).isEqualTo(1);
            assertThat(temp.resolve("it/quarantine/liar.json")).content().contains("PROMISE");
        }
    }

    /** Its region is gone when the job has gone back, so the update itself never comes again. */
    @Test
    void whoTakesThePoisonedUpdateAwayIsNotTakenAtItsWordEither() throws Exception {
        TestJob job = new TestJob("it", temp, NO_AGENT);
        Random random = new Random(9);
        try (LocalFlink flink = start(job, 1, 2, RoundRules.Timing.EAGER);
                TrainerClient liar = job.client("liar")) {
            liar.join();
            CompletableFuture<Void> honest = train(job);
            TrainingRound round = liar.awaitRound(TestJob.PATIENCE).orElseThrow();
            byte[] good = TestJob.bytes("liar", 1);
            OwnedRegion first = send(job, round.id(), 1, poisoned(good, random), true);
            await().atMost(TestJob.PATIENCE)
                    .until(() -> Files.exists(temp.resolve("it/quarantine/liar.json")));
            first.delete();
            for (int attempt = 2; attempt < 5; attempt++) {
                send(job, round.id(), attempt, poisoned(good, random), true);
                assertThat(answer(job, attempt).reason()).isEqualTo(RejectReason.PROMISE_NOT_TAKEN);
            }
            send(job, round.id(), 5, good, false);
            assertThat(answer(job, 5).status()).isEqualTo(Status.COMMITTED);
            honest.get();
            assertThat(restores(job)).isEqualTo(1);
            assertThat(job.error(1, List.of("honest", "liar"))).isLessThan(1e-7);
            flink.check();
        }
    }

    /** It was read and found right, and changed before the round's close, when it is folded. */
    @Test
    void anUpdateThatChangesAfterItWasReadCostsOneRestartToo() throws Exception {
        TestJob job = new TestJob("it", temp, NO_AGENT);
        try (LocalFlink flink = start(job, 1, 1, RoundRules.Timing.LAZY);
                TrainerClient liar = job.client("liar")) {
            liar.join();
            CompletableFuture<TrainerClient> second =
                    CompletableFuture.supplyAsync(
                            () -> {
                                TrainerClient client = job.client("honest");
                                client.join();
                                return client;
                            },
                            task -> new Thread(task, "honest").start());
            TrainingRound round = liar.awaitRound(TestJob.PATIENCE).orElseThrow();
            byte[] good = TestJob.bytes("liar", 1);
            OwnedRegion region = send(job, round.id(), 1, good, false);
            Path status = JobDirectory.of(job.regions(), job.name()).status();
            await().atMost(TestJob.PATIENCE)
                    .until(
                            () ->
                                    Files.readAllLines(status).stream()
                                            .map(l -> Json.decode(l.getBytes(), RoundStatus.class))
                                            .anyMatch(s -> s.updates() == 1));
            region.memory().slice(0, good.length).put(poisoned(good, new Random(1)));

            try (TrainerClient honest = second.get()) {
                TestJob.train(honest);
            }
            assertThat(answer(job, 1).status()).isIn(Status.COMMITTED, Status.REJECTED);
            job.awaitModel(1);
            assertThat(job.error(1, List.of("honest"))).isLessThan(1e-7);
            assertThat(restores(job)).isEqualTo(1);
            flink.check();
        }
    }
}
