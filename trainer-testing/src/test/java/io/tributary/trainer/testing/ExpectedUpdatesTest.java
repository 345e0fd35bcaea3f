// SPDX-License-Identifier: Apache-2.0

package io.tributary.trainer.testing;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.tributary.protocol.RejectReason;
import io.tributary.protocol.message.Expected;
import io.tributary.protocol.message.Receipt;
import io.tributary.protocol.message.UpdateKind;
import io.tributary.protocol.tensor.DType;
import io.tributary.protocol.tensor.SafetensorsHeader;
import io.tributary.protocol.tensor.TensorInfo;
import io.tributary.protocol.tensor.TensorSets;
import io.tributary.trainer.ModelUpdate;
import io.tributary.trainer.TrainerClient;
import io.tributary.trainer.TrainingRound;
import java.io.IOException;
import java.nio.FloatBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** What a plan may expect of an update of the Java client. */
@Timeout(60)
class ExpectedUpdatesTest {

    private static final Duration PATIENCE = Duration.ofSeconds(20);

    @TempDir Path temp;

    private FakeJob job;
    private TrainerClient trainer;

    private TrainingRound open(UpdateKind kind, Expected expected) throws IOException {
        SafetensorsHeader header =
                TensorSets.with(
                        SafetensorsHeader.create(
                                List.of(
                                        SafetensorsHeader.tensor("w", DType.F32, 3),
                                        SafetensorsHeader.tensor("head.b", DType.F32, 2)),
                                Map.of()),
                        expected.sets());
        // All zero.
        byte[] file = new byte[(int) header.fileLength()];
        System.arraycopy(header.bytes(), 0, file, 0, header.bytes().length);
        Path model = Files.write(temp.resolve("model"), file);
        job = FakeJob.start(Files.createDirectory(temp.resolve("regions")), kind);
        trainer =
                TrainerClient.builder()
                        .job(job.name())
                        .id("t-1")
                        .group("eu")
                        .transport(job.transport())
                        .connect();
        job.openRound(model, expected);
        trainer.join();
        return trainer.awaitRound(PATIENCE).orElseThrow();
    }

    @AfterEach
    void close() {
        trainer.close();
        job.close();
    }

    private static void fill(ModelUpdate update, String tensor, float value) {
        FloatBuffer values = update.floats(tensor);
        for (int i = 0; i < values.limit(); i++) {
            values.put(i, value);
        }
    }

    private CompletableFuture<Receipt> send(ModelUpdate update) {
        return CompletableFuture.supplyAsync(() -> trainer.send(update.samples(1)));
    }

    @Test
    void aSetIsBesideTheModel() throws Exception {
        TrainingRound round =
                open(
                        UpdateKind.WEIGHTS,
                        new Expected(List.of("control"), List.of(), false, List.of()));
        assertThat(round.tensors()).extracting(TensorInfo::name).containsExactly("w", "head.b");
        assertThat(round.floats("control/w").limit()).isEqualTo(3);
        ModelUpdate update = round.newUpdate();
        for (TensorInfo tensor : round.header().tensors()) {
            fill(update, tensor.name(), 2);
        }
        CompletableFuture<Receipt> receipt = send(update);
        ReceivedUpdate received = job.awaitUpdate(PATIENCE);
        assertThat(received.floats("control/head.b").get(1)).isEqualTo(2);
        job.commit(received);
        assertThat(receipt.join().status()).isEqualTo(Receipt.Status.COMMITTED);
    }

    /** The norm is that of what is sent, also when it is mended and sent again. */
    @ParameterizedTest
    @EnumSource
    void theSquaredNormIsComputedAndOtherMetricsMustBeGiven(UpdateKind kind) throws Exception {
        TrainingRound round =
                open(
                        kind,
                        new Expected(
                                List.of(), List.of("steps", "squared-norm"), false, List.of()));
        ModelUpdate update = round.newUpdate();
        fill(update, "w", 2);
        fill(update, "head.b", 1);
        assertThatThrownBy(() -> trainer.send(update.samples(1)))
                .hasMessageContaining("metric 'steps' is missing");
        for (int i = 0; i < 40; i++) {
            update.metric("a%02d".formatted(i), i);
        }
        CompletableFuture<Receipt> receipt = send(update.metric("steps", 4));
        ReceivedUpdate received = job.awaitUpdate(PATIENCE);
        assertThat(received.metrics())
                .hasSize(32)
                .containsEntry("steps", 4.0)
                .containsEntry("squared-norm", 14.0);
        job.reject(received, RejectReason.NOT_FINITE, "mend it");
        receipt.join();
        fill(update, "w", 3);
        fill(update, "head.b", 1);
        send(update);
        assertThat(job.awaitUpdate(PATIENCE).metrics()).containsEntry("squared-norm", 29.0);
    }

    @Test
    void aPartialUpdateHasWhatIsNamedAndAPersonalTensorHasNoPlace() throws Exception {
        TrainingRound round =
                open(
                        UpdateKind.WEIGHTS,
                        new Expected(List.of("control"), List.of(), true, List.of("head.*")));
        assertThatThrownBy(() -> round.newUpdate(Set.of("v")))
                .hasMessageContaining("the model has no tensor 'v'");
        assertThatThrownBy(() -> round.newUpdate().floats("head.b"))
                .hasMessageContaining("the model has no tensor 'head.b'");
        assertThatThrownBy(() -> round.newUpdate(Set.of("control/w")))
                .hasMessage(
                        "tensor 'w' is missing; it goes with 'control/w', since the model has tensor sets");
        ModelUpdate update = round.newUpdate(Set.of("w", "control/w"));
        fill(update, "w", 2);
        fill(update, "control/w", 1);
        send(update);
        ReceivedUpdate received = job.awaitUpdate(PATIENCE);
        assertThat(received.floats("control/w").get(0)).isEqualTo(1);
        assertThat(received.floats("w").get(0)).isEqualTo(2);
        assertThatThrownBy(() -> received.floats("control/head.b"))
                .hasMessageContaining("no tensor 'control/head.b'");
    }

    @Test
    void whereUpdatesAreWholeNoneIsPartial() throws Exception {
        TrainingRound round = open(UpdateKind.WEIGHTS, Expected.NOTHING);
        assertThatThrownBy(() -> round.newUpdate(Set.of("w")))
                .hasMessageContaining("the job takes no partial updates (model.partial-updates)");
    }
}
