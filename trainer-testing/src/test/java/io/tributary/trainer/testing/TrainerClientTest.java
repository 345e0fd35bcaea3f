// SPDX-License-Identifier: Apache-2.0

package io.tributary.trainer.testing;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.node.ObjectNode;
import io.tributary.memory.region.JobDirectory;
import io.tributary.protocol.Json;
import io.tributary.protocol.RejectReason;
import io.tributary.protocol.WireMessage;
import io.tributary.protocol.message.Receipt;
import io.tributary.protocol.message.RoundId;
import io.tributary.protocol.tensor.DType;
import io.tributary.protocol.tensor.SafetensorsHeader;
import io.tributary.trainer.ModelUpdate;
import io.tributary.trainer.TrainerClient;
import io.tributary.trainer.TrainerException;
import io.tributary.trainer.TrainingRound;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** What a trainer's client does with each answer of a job. */
@Timeout(60)
class TrainerClientTest {

    private static final Duration PATIENCE = Duration.ofSeconds(20);
    private static final Duration BRIEF = Duration.ofMillis(1200);

    @TempDir Path temp;

    private FakeJob job;
    private TrainerClient trainer;

    @BeforeEach
    void start() throws IOException {
        job = FakeJob.start(Files.createDirectory(temp.resolve("regions")));
        trainer = client("t-1");
    }

    @AfterEach
    void close() {
        trainer.close();
        job.close();
    }

    private TrainerClient client(String id) {
        return TrainerClient.builder().job(job.name()).id(id).transport(job.transport()).connect();
    }

    private Path model() throws IOException {
        SafetensorsHeader header =
                SafetensorsHeader.create(
                        List.of(SafetensorsHeader.tensor("w", DType.F32, 2)), Map.of());
        ByteBuffer bytes = ByteBuffer.allocate((int) header.fileLength());
        return Files.write(temp.resolve("model"), bytes.put(header.bytes()).array());
    }

    private TrainingRound joined() throws IOException {
        job.openRound(model());
        trainer.join();
        return trainer.awaitRound(PATIENCE).orElseThrow();
    }

    private CompletableFuture<Receipt> send(TrainingRound round) {
        return CompletableFuture.supplyAsync(
                () -> {
                    ModelUpdate update = round.newUpdate().samples(3);
                    update.floats("w").put(0, 1f).put(1, 2f);
                    return trainer.send(update);
                });
    }

    @Test
    void aRoundIsGivenOutOnce() throws Exception {
        joined();
        assertThatThrownBy(() -> trainer.awaitRound(BRIEF))
                .isInstanceOf(TrainerException.class)
                .hasMessage("job 'fake': no new round within PT1.2S");
    }

    @Test
    void anUpdateWhoseHostWasLostIsSentAgainUnasked() throws Exception {
        TrainingRound round = joined();
        CompletableFuture<Receipt> receipt = send(round);
        job.reject(job.awaitUpdate(PATIENCE), RejectReason.NODE_LOST, "its host is gone");
        ReceivedUpdate again = job.awaitUpdate(PATIENCE);
        assertThat(again.round()).isEqualTo(round.id());
        assertThat(receipt).isNotDone();
        job.commit(again);
        assertThat(receipt.join().status()).isEqualTo(Receipt.Status.COMMITTED);
    }

    @Test
    void aRejectionIsHandedOnAndTheNextRoundComes() throws Exception {
        CompletableFuture<Receipt> receipt = send(joined());
        job.reject(job.awaitUpdate(PATIENCE), RejectReason.LATE, "the round is over");
        assertThat(receipt.join().reason()).isEqualTo(RejectReason.LATE);
        RoundId next = job.openRound(model());
        assertThat(trainer.awaitRound(PATIENCE).orElseThrow().id()).isEqualTo(next);
    }

    @Test
    void anIdThatIsInUseIsNotTaken() throws Exception {
        joined();
        try (TrainerClient other = client("t-1")) {
            assertThatThrownBy(other::join)
                    .isInstanceOfSatisfying(
                            TrainerException.class,
                            e -> assertThat(e.reason()).isEqualTo(RejectReason.DUPLICATE_TRAINER));
        }
        job.openRound(model());
        assertThat(trainer.awaitRound(PATIENCE)).as("it is still a member").isPresent();
    }

    @Test
    void aJobThatIsNotThereIsWaitedForOnlySoLong() throws Exception {
        try (TrainerClient lost =
                TrainerClient.builder()
                        .job("nowhere")
                        .id("t-2")
                        .transport(job.transport())
                        .connect()) {
            assertThat(lost.join(BRIEF)).isFalse();
        }
    }

    /**
     * A newer job may ask for what this client does not have; then it says so, and does not guess.
     */
    @Test
    void aPlanThatMustBeReadOtherwiseIsNotFollowed() throws Exception {
        job.openRound(model());
        Path plan = JobDirectory.of(temp.resolve("regions"), FakeJob.NAME).round();
        ObjectNode json = (ObjectNode) Json.tree(Files.readAllBytes(plan));
        json.putArray(WireMessage.MUST_FIELD).add("masks");
        Files.write(plan, Json.encode(json));
        trainer.join();
        assertThatThrownBy(() -> trainer.awaitRound(BRIEF))
                .isInstanceOf(TrainerException.class)
                .hasMessageContaining("no new round within")
                .hasMessageContaining("must be read with [masks]")
                .hasMessageContaining("use a newer version of Tributary here");
    }
}
