// SPDX-License-Identifier: Apache-2.0

package io.tributary.job.graph;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import io.tributary.cli.testutils.TestJob;
import io.tributary.job.testutils.SmallModel;
import io.tributary.memory.region.JobDirectory;
import io.tributary.memory.region.RegionDirectory;
import io.tributary.node.PayloadStore;
import io.tributary.protocol.Json;
import io.tributary.protocol.RejectReason;
import io.tributary.protocol.message.Receipt;
import io.tributary.protocol.message.Receipt.Status;
import io.tributary.protocol.message.RoundId;
import io.tributary.protocol.message.RoundPlan;
import io.tributary.protocol.message.Run;
import io.tributary.protocol.message.Topics;
import io.tributary.testbed.process.EmbeddedBroker;
import io.tributary.trainer.TrainerClient;
import io.tributary.trainer.TrainerTransport;
import io.tributary.trainer.TrainingRound;
import io.tributary.transport.mqtt.BrokerOptions;
import io.tributary.transport.mqtt.MqttLink;
import io.tributary.transport.mqtt.Publication;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.time.Duration;
import java.time.Instant;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.StateRecoveryOptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Several submissions of a job after one another, and somebody who would like to be one. */
@Timeout(240)
class RunsITCase {

    private static final long QUOTA = 1 << 28;

    @TempDir Path temp;

    private MqttTransport mqtt(TestJob job, EmbeddedBroker broker) {
        return new MqttTransport(BrokerOptions.of(broker.url()), job.staging(QUOTA));
    }

    /**
     * Trains a round of the newest run; one that a former run had open when it ended is no loss.
     */
    private static RoundId train(TrainerClient client) {
        while (true) {
            TrainingRound round = client.awaitRound(TestJob.PATIENCE).orElseThrow();
            Receipt receipt = client.send(TestJob.update(round, client.id()));
            if (receipt.status() == Status.REJECTED) {
                assertThat(receipt.reason())
                        .isIn(RejectReason.NOT_OPEN, RejectReason.STALE_EPOCH, RejectReason.LATE);
                continue;
            }
            assertThat(receipt.status()).isIn(Status.COMMITTED, Status.DUPLICATE);
            return round.id();
        }
    }

    /** Item 9: it has trained rounds 1 to 3, and the new submission begins with round 1. */
    @Test
    void aTrainerOverMqttFollowsANewSubmission() throws Exception {
        TestJob job = new TestJob("again", temp, 1);
        try (EmbeddedBroker broker = EmbeddedBroker.start();
                TrainerClient client =
                        job.client("t-1", TrainerTransport.mqtt(BrokerOptions.of(broker.url())))) {
            try (LocalFlink flink = job.start(1, 9, mqtt(job, broker), Run.draw())) {
                client.join();
                for (int round = 1; round <= 3; round++) {
                    assertThat(train(client).round()).isEqualTo(round);
                }
            }
            // Nothing to go on from, and another initial model.
            TestJob other = new TestJob("again", temp.resolve("other"), 1);
            Files.createDirectories(other.work());
            try (LocalFlink flink = other.start(1, 2, mqtt(other, broker), Run.draw())) {
                TrainingRound first = client.awaitRound(TestJob.PATIENCE).orElseThrow();
                while (first.id().round() != 1) {
                    // The round that the former submission had open, if it was quick.
                    first = client.awaitRound(TestJob.PATIENCE).orElseThrow();
                }
                assertThat(first.bytes("half"))
                        .isEqualTo(
                                ByteBuffer.wrap(SmallModel.bytes(0))
                                        .slice(
                                                (int)
                                                        (SmallModel.HEADER.dataOffset()
                                                                + SmallModel.HEADER
                                                                        .tensors()
                                                                        .get(2)
                                                                        .begin()),
                                                2 * 77));
                assertThat(client.send(TestJob.update(first, "t-1")).status())
                        .isEqualTo(Status.COMMITTED);
                assertThat(train(client).round()).isEqualTo(2);
                assertThat(client.awaitRound(TestJob.PATIENCE)).isEmpty();
                flink.check();
            }
            assertThat(other.error(2, List.of("t-1"))).isLessThan(1e-6);
        }
    }

    /** Items 9 and 10: the trainer goes back with the job, and no version is there twice. */
    @Test
    void aTrainerOverMqttGoesBackToAnOlderSavepointWithItsJob() throws Exception {
        TestJob job = new TestJob("back", temp, 1);
        Set<RoundId> rounds = new HashSet<>();
        try (EmbeddedBroker broker = EmbeddedBroker.start();
                TrainerClient client =
                        job.client("t-1", TrainerTransport.mqtt(BrokerOptions.of(broker.url())))) {
            String savepoint;
            try (LocalFlink flink = job.start(1, 9, mqtt(job, broker), Run.draw())) {
                client.join();
                rounds.add(train(client));
                savepoint = flink.savepoint(temp.resolve("savepoints"));
                rounds.add(train(client));
                rounds.add(train(client));
            }
            for (int back = 0; back < 2; back++) {
                Configuration restore = new Configuration();
                restore.set(StateRecoveryOptions.SAVEPOINT_PATH, savepoint);
                try (LocalFlink flink = job.start(1, 9, mqtt(job, broker), restore, Run.draw())) {
                    RoundId first = train(client);
                    assertThat(first.round()).isLessThanOrEqualTo(2);
                    assertThat(train(client).round()).isEqualTo(first.round() + 1);
                    RoundId third = train(client);
                    assertThat(rounds.add(third)).as("%s was opened before", third).isTrue();
                    flink.check();
                }
            }
        }
    }

    /** The presence of a trainer is all that a job without an agent has to see that it asks. */
    @Test
    void aTrainerOverSharedMemoryGoesOnWithItsResumedJobWithoutAnAgent() throws Exception {
        TestJob job = new TestJob("resumed", temp, 1);
        ShmTransport shm =
                new ShmTransport(new PayloadStore.Place(job.regions().toString()), 1 << 28, 1);
        try (TrainerClient client = job.client("t-1")) {
            String savepoint;
            try (LocalFlink flink = job.start(1, 9, shm, Run.draw())) {
                client.join();
                train(client);
                savepoint = flink.savepoint(temp.resolve("savepoints"));
            }
            Configuration restore = new Configuration();
            restore.set(StateRecoveryOptions.SAVEPOINT_PATH, savepoint);
            try (LocalFlink flink = job.start(1, 9, shm, restore, Run.draw())) {
                RoundId first = train(client);
                assertThat(train(client).round()).isEqualTo(first.round() + 1);
                flink.check();
            }
        }
    }

    /** Item 4: a plan is public, its proof of the end is not. */
    @Test
    void nobodyElseEndsAJobOverMqtt() throws Exception {
        TestJob job = new TestJob("end", temp, 1);
        Topics topics = new Topics("end");
        BlockingQueue<RoundPlan> plans = new LinkedBlockingQueue<>();
        try (EmbeddedBroker broker = EmbeddedBroker.start();
                LocalFlink flink = job.start(1, 2, mqtt(job, broker), Run.draw());
                MqttLink stranger =
                        MqttLink.connect(
                                BrokerOptions.of(broker.url()),
                                new MqttLink.Settings("stranger", 10, Optional.empty()),
                                message -> {
                                    plans.add(Json.decode(message.payload(), RoundPlan.class));
                                    message.done().run();
                                });
                TrainerClient client =
                        job.client("t-1", TrainerTransport.mqtt(BrokerOptions.of(broker.url())))) {
            stranger.subscribe(List.of(topics.round()));
            client.join();
            TrainingRound round = client.awaitRound(TestJob.PATIENCE).orElseThrow();
            RoundPlan seen = plans.poll(30, TimeUnit.SECONDS);
            stranger.publish(Publication.json(topics.round(), ended(seen), false));
            client.send(TestJob.update(round, "t-1"));
            assertThat(train(client).round()).isEqualTo(2);
            assertThat(client.awaitRound(TestJob.PATIENCE)).isEmpty();
            flink.check();
        }
        assertThat(job.error(2, List.of("t-1"))).isLessThan(1e-6);
    }

    private static RoundPlan ended(RoundPlan seen) {
        return new RoundPlan(
                seen.job(),
                RoundPlan.State.ENDED,
                seen.round(),
                seen.epoch(),
                seen.modelRound(),
                seen.modelEpoch(),
                seen.kind(),
                0,
                seen.restores(),
                seen.run(),
                Run.of("a guess").end());
    }

    @Test
    void nobodyElseEndsAJobOverSharedMemory() throws Exception {
        TestJob job = new TestJob("end", temp, 1);
        Path plan = JobDirectory.of(job.regions(), "end").round();
        try (LocalFlink flink = job.start(2, 2, QUOTA)) {
            try (TrainerClient first = job.client("t-1");
                    TrainerClient second = job.client("t-2")) {
                first.join();
                second.join();
                TrainingRound one = first.awaitRound(TestJob.PATIENCE).orElseThrow();
                TrainingRound two = second.awaitRound(TestJob.PATIENCE).orElseThrow();
                JobDirectory.replace(
                        plan, ended(JobDirectory.read(plan, RoundPlan.class).orElseThrow()));
                await("the job says again what its plan is")
                        .atMost(TestJob.PATIENCE)
                        .until(
                                () ->
                                        JobDirectory.read(plan, RoundPlan.class)
                                                .filter(p -> p.state() == RoundPlan.State.OPEN)
                                                .isPresent());
                assertThat(first.send(TestJob.update(one, "t-1")).status())
                        .isEqualTo(Status.COMMITTED);
                assertThat(second.send(TestJob.update(two, "t-2")).status())
                        .isEqualTo(Status.COMMITTED);
                assertThat(first.awaitRound(TestJob.PATIENCE)).isPresent();
            }
            flink.check();
        }
    }

    /** Item 8: what belongs to a run says so, whatever files and clocks say. */
    @Test
    void whatAnEarlierRunLeftIsNotTakenForThisOnesAndThisOnesIsKept() throws Exception {
        TestJob job = new TestJob("left", temp, 1);
        for (Duration shift : List.of(Duration.ofDays(1), Duration.ofDays(-1))) {
            job = new TestJob("left", temp, 1);
            Path directory = JobDirectory.of(job.regions(), "left").path();
            try (LocalFlink flink = job.start(1, 2, shm(job), Run.draw());
                    TrainerClient client = job.client("t-1")) {
                client.join();
                train(client);
                train(client);
                assertThat(client.awaitRound(TestJob.PATIENCE)).isEmpty();
            }
            try (Stream<Path> files = Files.walk(directory)) {
                for (Path file : files.toList()) {
                    Files.setLastModifiedTime(file, FileTime.from(Instant.now().plus(shift)));
                }
            }
            deleteCheckpoints(temp.resolve("left/checkpoints"));
        }
        try (Stream<Path> models =
                Files.list(JobDirectory.of(job.regions(), "left").path().resolve("models"))) {
            assertThat(models.map(m -> m.getFileName().toString().split("_")[0]).distinct())
                    .as("the models of one run")
                    .hasSize(1);
        }
    }

    private ShmTransport shm(TestJob job) {
        return new ShmTransport(new PayloadStore.Place(job.regions().toString()), QUOTA, 1);
    }

    private static void deleteCheckpoints(Path directory) throws Exception {
        if (Files.exists(directory)) {
            try (Stream<Path> files = Files.walk(directory)) {
                for (Path file : files.sorted(java.util.Comparator.reverseOrder()).toList()) {
                    Files.delete(file);
                }
            }
        }
    }

    /** Item 8: the model that a plan names is there again, whoever has removed it. */
    @Test
    void whoMissesAModelGetsIt() throws Exception {
        TestJob job = new TestJob("missed", temp, 1);
        Path models = JobDirectory.of(job.regions(), "missed").path().resolve("models");
        try (LocalFlink flink = job.start(1, 1, QUOTA)) {
            await().atMost(TestJob.PATIENCE).until(() -> !RegionDirectory.list(models).isEmpty());
            for (Path model : RegionDirectory.list(models)) {
                Files.delete(model);
            }
            try (TrainerClient client = job.client("t-1")) {
                client.join();
                train(client);
            }
            flink.check();
        }
    }
}
