// SPDX-License-Identifier: Apache-2.0

package io.tributary.trainer.testing;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.tributary.protocol.RejectReason;
import io.tributary.protocol.message.Receipt;
import io.tributary.protocol.message.RoundId;
import io.tributary.protocol.tensor.DType;
import io.tributary.protocol.tensor.SafetensorsHeader;
import io.tributary.trainer.ModelUpdate;
import io.tributary.trainer.TrainerClient;
import io.tributary.trainer.TrainingRound;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** The trainer's real client against the fake job. */
@Timeout(60)
class FakeJobTest {

    private static final Duration PATIENCE = Duration.ofSeconds(20);

    @TempDir Path temp;

    private FakeJob job;
    private TrainerClient trainer;

    @BeforeEach
    void start() throws IOException {
        job = FakeJob.start(Files.createDirectory(temp.resolve("regions")));
        trainer =
                TrainerClient.builder()
                        .job(job.name())
                        .id("t-1")
                        .group("eu")
                        .transport(job.transport())
                        .connect();
    }

    @AfterEach
    void close() {
        trainer.close();
        job.close();
    }

    private Path model(String name, float... values) throws IOException {
        SafetensorsHeader header =
                SafetensorsHeader.create(
                        List.of(SafetensorsHeader.tensor("w", DType.F32, values.length)), Map.of());
        ByteBuffer bytes =
                ByteBuffer.allocate((int) header.fileLength()).order(ByteOrder.LITTLE_ENDIAN);
        bytes.put(header.bytes());
        for (float value : values) {
            bytes.putFloat(value);
        }
        return Files.write(temp.resolve(name), bytes.array());
    }

    /** Sends the model plus 1 in another thread, as code under test does. */
    private CompletableFuture<Receipt> sendPlusOne(TrainingRound round, long samples) {
        return CompletableFuture.supplyAsync(
                () -> {
                    ModelUpdate update = round.newUpdate();
                    for (int i = 0; i < round.floats("w").limit(); i++) {
                        update.floats("w").put(i, round.floats("w").get(i) + 1);
                    }
                    return trainer.send(update.samples(samples));
                });
    }

    @Test
    void aTrainerJoinsTrainsAndIsAnswered() throws Exception {
        RoundId round = job.openRound(model("m0", 1, 2, 3));
        trainer.join();
        assertThat(job.trainers()).containsExactly("t-1");
        TrainingRound training = trainer.awaitRound(PATIENCE).orElseThrow();
        assertThat(training.id()).isEqualTo(round);

        CompletableFuture<Receipt> receipt = sendPlusOne(training, 7);
        ReceivedUpdate update = job.awaitUpdate(PATIENCE);
        assertThat(update.trainer()).isEqualTo("t-1");
        assertThat(update.round()).isEqualTo(round);
        assertThat(update.samples()).isEqualTo(7);
        assertThat(update.floats("w").get(2)).isEqualTo(4);
        assertThatThrownBy(() -> update.floats("bias")).hasMessageContaining("no tensor 'bias'");
        assertThat(receipt).as("the test has not answered yet").isNotDone();
        job.commit(update);
        assertThat(receipt.join().status()).isEqualTo(Receipt.Status.COMMITTED);

        job.openRound(model("m1", 10, 20, 30));
        TrainingRound next = trainer.awaitRound(PATIENCE).orElseThrow();
        assertThat(next.floats("w").get(0)).isEqualTo(10);
        receipt = sendPlusOne(next, 1);
        job.reject(job.awaitUpdate(PATIENCE), RejectReason.BAD_SAMPLES, "too few");
        assertThat(receipt.join().reason()).isEqualTo(RejectReason.BAD_SAMPLES);
        assertThat(receipt.join().text()).isEqualTo("too few");

        job.finish();
        assertThat(trainer.awaitRound(PATIENCE)).isEqualTo(Optional.empty());
        trainer.close();
        assertThat(job.trainers()).isEmpty();
    }

    @Test
    void anUpdateThatIsNotFiniteIsRejectedAsByAJob() throws Exception {
        job.openRound(model("m0", 1, 2));
        trainer.join();
        TrainingRound round = trainer.awaitRound(PATIENCE).orElseThrow();
        ModelUpdate update = round.newUpdate();
        update.floats("w").put(0, 1f).put(1, Float.NaN);
        Receipt receipt = trainer.send(update.samples(1));
        assertThat(receipt.reason()).isEqualTo(RejectReason.NOT_FINITE);
        assertThat(receipt.text()).contains("tensor 'w' has NaN at index [1]");
        assertThatThrownBy(() -> job.awaitUpdate(Duration.ofMillis(50)))
                .hasMessageContaining("no update came within");
    }
}
