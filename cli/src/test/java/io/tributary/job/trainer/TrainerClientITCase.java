// SPDX-License-Identifier: Apache-2.0

package io.tributary.job.trainer;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.awaitility.Awaitility.await;

import io.tributary.cli.testutils.TestJob;
import io.tributary.job.graph.JobListener;
import io.tributary.job.graph.JobTransport;
import io.tributary.job.graph.LocalFlink;
import io.tributary.job.graph.MqttTransport;
import io.tributary.job.graph.ShmTransport;
import io.tributary.memory.region.JobDirectory;
import io.tributary.memory.region.Owner;
import io.tributary.memory.region.TrainerPresence;
import io.tributary.node.PayloadStore;
import io.tributary.protocol.RejectReason;
import io.tributary.protocol.message.ModelDescription;
import io.tributary.protocol.message.Receipt;
import io.tributary.protocol.message.Receipt.Status;
import io.tributary.protocol.message.RoundStatus;
import io.tributary.testbed.process.EmbeddedBroker;
import io.tributary.trainer.ModelUpdate;
import io.tributary.trainer.TrainerClient;
import io.tributary.trainer.TrainerException;
import io.tributary.trainer.TrainerTransport;
import io.tributary.trainer.TrainingRound;
import io.tributary.transport.mqtt.BrokerOptions;
import java.nio.FloatBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CountDownLatch;
import org.apache.flink.configuration.CheckpointingOptions;
import org.apache.flink.configuration.Configuration;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Item 13: what users do with a client. */
@Timeout(180)
class TrainerClientITCase {

    private static final long QUOTA = 1 << 28;
    private static final int ROUNDS = 7;

    @TempDir Path temp;

    /** As FedProx does, which holds the new weights against those of before. */
    private static void trainAndKeepViews(TrainerClient client) {
        client.join();
        List<FloatBuffer> models = new ArrayList<>();
        List<float[]> copies = new ArrayList<>();
        FloatBuffer sent = null;
        Optional<TrainingRound> next = client.awaitRound(TestJob.PATIENCE);
        while (next.isPresent()) {
            FloatBuffer weights = next.get().floats("layer.weight");
            float[] copy = new float[weights.remaining()];
            weights.duplicate().get(copy);
            models.add(weights);
            copies.add(copy);
            ModelUpdate update = TestJob.update(next.get(), client.id());
            sent = update.floats("layer.weight");
            assertThat(client.send(update).status()).isEqualTo(Status.COMMITTED);
            next = client.awaitRound(TestJob.PATIENCE);
        }
        assertThat(models).hasSize(ROUNDS);
        client.close();
        System.gc();
        for (int round = 0; round < ROUNDS; round++) {
            assertThat(models.get(round)).isEqualTo(FloatBuffer.wrap(copies.get(round)));
        }
        // Nobody says what stands there by now, but it may be looked at.
        assertThat(sent.get(0) + sent.get(sent.limit() - 1)).isNotNull();
    }

    @Test
    void viewsOfModelsAndUpdatesMayBeKeptOverSharedMemory() throws Exception {
        TestJob job = new TestJob("views", temp, 1);
        try (LocalFlink flink = job.start(1, ROUNDS, QUOTA);
                TrainerClient client = job.client("t-1")) {
            trainAndKeepViews(client);
            flink.check();
        }
    }

    @Test
    void viewsOfModelsAndUpdatesMayBeKeptOverMqtt() throws Exception {
        TestJob job = new TestJob("views", temp, 1);
        try (EmbeddedBroker broker = EmbeddedBroker.start();
                LocalFlink flink =
                        job.start(
                                1,
                                ROUNDS,
                                new MqttTransport(
                                        BrokerOptions.of(broker.url()), job.staging(QUOTA)));
                TrainerClient client =
                        job.client("t-1", TrainerTransport.mqtt(BrokerOptions.of(broker.url())))) {
            trainAndKeepViews(client);
            flink.check();
        }
    }

    @Test
    void ofTwoUpdatesOfARoundTheFirstIsGivenUp() throws Exception {
        TestJob job = new TestJob("two", temp, 1);
        try (LocalFlink flink = job.start(1, 1, QUOTA);
                TrainerClient client = job.client("t-1")) {
            client.join();
            TrainingRound round = client.awaitRound(TestJob.PATIENCE).orElseThrow();
            ModelUpdate first = TestJob.update(round, "t-1");
            ModelUpdate second = TestJob.update(round, "t-1");
            assertThatThrownBy(() -> first.floats("layer.weight"))
                    .isInstanceOf(IllegalStateException.class)
                    .hasMessageContaining("newUpdate() was called again");
            assertThatThrownBy(() -> client.send(first))
                    .hasMessageContaining("newUpdate() was called again");
            assertThat(client.send(second).status()).isEqualTo(Status.COMMITTED);
            client.close();
            assertThatThrownBy(() -> second.floats("layer.weight"))
                    .hasMessageContaining("the client was closed");
            flink.check();
        }
        assertThat(job.error(1, List.of("t-1"))).isLessThan(1e-6);
    }

    /** The answer to what was sent before it died is not taken for that to what is sent now. */
    @ParameterizedTest
    @ValueSource(strings = {"mqtt", "shm"})
    void aTrainerThatDiesAndComesBackHearsWhichSendingIsAnswered(String way) throws Exception {
        TestJob job = new TestJob("again", temp, 1);
        // So that the first one's receipt is still to come when the second one sends.
        Configuration slow = new Configuration();
        slow.set(CheckpointingOptions.CHECKPOINTING_INTERVAL, Duration.ofSeconds(4));
        try (EmbeddedBroker broker = EmbeddedBroker.start()) {
            BrokerOptions options = BrokerOptions.of(broker.url());
            JobTransport transport =
                    way.equals("mqtt")
                            ? new MqttTransport(options, job.staging(QUOTA))
                            : new ShmTransport(
                                    new PayloadStore.Place(job.regions().toString()), QUOTA, 1);
            TrainerTransport trainers =
                    way.equals("mqtt")
                            ? TrainerTransport.mqtt(options)
                            : TrainerTransport.shm(job.regions(), 1);
            CountDownLatch counted = new CountDownLatch(1);
            try (AutoCloseable ignored =
                            transport.follow(job.name(), new WhenCounted(counted::countDown));
                    LocalFlink flink = job.start(2, 1, transport, slow);
                    TrainerClient other = job.client("t-2", trainers)) {
                TrainerClient first = job.client("t-1", trainers);
                first.join();
                other.join();
                TrainingRound round = first.awaitRound(TestJob.PATIENCE).orElseThrow();
                Thread sending =
                        new Thread(
                                () -> {
                                    try {
                                        first.send(TestJob.update(round, "t-1"));
                                    } catch (RuntimeException e) {
                                        // It dies.
                                    }
                                });
                sending.start();
                counted.await();
                first.abort();
                try (TrainerClient second = job.client("t-1", trainers)) {
                    join(second);
                    TrainingRound same = second.awaitRound(TestJob.PATIENCE).orElseThrow();
                    assertThat(same.id()).isEqualTo(round.id());
                    Receipt answer = second.send(TestJob.update(same, "t-7"));
                    assertThat(answer.status()).isEqualTo(Status.REJECTED);
                    assertThat(answer.reason()).isEqualTo(RejectReason.DIFFERENT_BYTES);
                    assertThat(answer.text())
                            .contains("it has CRC32C " + answer.contentId())
                            .doesNotContain("the one that counts has " + answer.contentId());
                    Receipt same1 = second.send(TestJob.update(same, "t-1"));
                    assertThat(same1.status()).isEqualTo(Status.DUPLICATE);
                    other.send(TestJob.update(other.awaitRound(TestJob.PATIENCE).get(), "t-2"));
                }
                sending.interrupt();
                sending.join();
                flink.check();
            }
        }
        job.awaitModel(1);
        assertThat(job.error(1, List.of("t-1", "t-2"))).isLessThan(1e-6);
    }

    /** The job may still have to miss the one before. */
    private static void join(TrainerClient client) {
        Awaitility.await()
                .atMost(TestJob.PATIENCE)
                .ignoreExceptionsMatching(
                        e ->
                                e instanceof TrainerException rejected
                                        && rejected.reason() == RejectReason.DUPLICATE_TRAINER)
                .until(
                        () -> {
                            client.join();
                            return true;
                        });
    }

    private record WhenCounted(Runnable then) implements JobListener {

        @Override
        public void status(RoundStatus status) {
            if (status.updates() == 1) {
                then.run();
            }
        }

        @Override
        public void model(ModelDescription model) {
            // Only updates are waited for.
        }
    }

    @Test
    void closingTwiceIsNoError() throws Exception {
        TestJob job = new TestJob("twice", temp, 1);
        try (LocalFlink flink = job.start(1, 1, QUOTA)) {
            TrainerClient client = job.client("t-1");
            client.join();
            client.awaitRound(TestJob.PATIENCE).orElseThrow().newUpdate();
            client.close();
            client.close();
            client.abort();
            TrainerClient other = job.client("t-2");
            other.abort();
            other.close();
            flink.check();
            flink.close();
        }
    }

    @Test
    void whatFailsWhileItClosesLeavesNothingBehind() throws Exception {
        TestJob job = new TestJob("damaged", temp, 1);
        Path own = Files.createDirectories(temp.resolve("own"));
        try (LocalFlink flink = job.start(1, 1, QUOTA)) {
            TrainerClient client =
                    TrainerClient.builder()
                            .job("damaged")
                            .id("t-1")
                            .group("eu")
                            .transport(TrainerTransport.shm(job.regions(), 1))
                            .directory(own)
                            .connect();
            client.join();
            Path presence = JobDirectory.of(job.regions(), "damaged").trainer("t-1");
            Files.writeString(presence, "{");
            assertThatThrownBy(client::close).hasMessageContaining(presence.toString());
            assertThat(own).isEmptyDirectory();
            client.close();
            flink.check();
        }
    }

    /** Its heartbeats find that somebody else has taken its place. */
    @Test
    void anErrorOfThePulseReachesTheUser() throws Exception {
        TestJob job = new TestJob("pulse", temp, 1);
        try (LocalFlink flink = job.start(2, 1, QUOTA);
                TrainerClient client = job.client("t-1")) {
            client.join();
            JobDirectory directory = JobDirectory.of(job.regions(), "pulse");
            JobDirectory.replace(
                    directory.trainer("t-1"),
                    new TrainerPresence("t-1", "another", "eu", Owner.self(directory.path())));
            await().atMost(TestJob.PATIENCE)
                    .untilAsserted(
                            () ->
                                    assertThatThrownBy(
                                                    () -> client.awaitRound(Duration.ofSeconds(1)))
                                            .isInstanceOfSatisfying(
                                                    TrainerException.class,
                                                    e ->
                                                            assertThat(e.reason())
                                                                    .isEqualTo(
                                                                            RejectReason
                                                                                    .DUPLICATE_TRAINER)));
            flink.check();
        }
    }
}
