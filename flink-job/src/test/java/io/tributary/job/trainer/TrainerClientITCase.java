// SPDX-License-Identifier: Apache-2.0

package io.tributary.job.trainer;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.awaitility.Awaitility.await;

import io.tributary.job.demo.EmbeddedBroker;
import io.tributary.job.graph.LocalFlink;
import io.tributary.job.graph.MqttTransport;
import io.tributary.job.testutils.TestJob;
import io.tributary.protocol.RejectReason;
import io.tributary.protocol.message.Receipt.Status;
import io.tributary.protocol.mqtt.BrokerOptions;
import io.tributary.shm.region.JobDirectory;
import io.tributary.shm.region.Owner;
import io.tributary.shm.region.TrainerPresence;
import io.tributary.trainer.ModelUpdate;
import io.tributary.trainer.TrainerClient;
import io.tributary.trainer.TrainerException;
import io.tributary.trainer.TrainingRound;
import io.tributary.trainer.Transport;
import java.nio.FloatBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

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
                        job.client("t-1", Transport.mqtt(BrokerOptions.of(broker.url())))) {
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
                            .transport(Transport.shm(job.regions(), 1))
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
