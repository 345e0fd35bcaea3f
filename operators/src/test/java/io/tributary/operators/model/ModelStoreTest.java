// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.tributary.operators.testutils.TestModels;
import io.tributary.protocol.Json;
import io.tributary.protocol.message.Evaluation;
import io.tributary.protocol.message.RoundId;
import io.tributary.protocol.message.RoundLedger;
import io.tributary.protocol.message.UpdateKind;
import io.tributary.protocol.tensor.DType;
import io.tributary.protocol.tensor.ModelLayout;
import io.tributary.protocol.tensor.SafetensorsHeader;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What every store of models does; both kinds lie in a directory here. */
abstract class ModelStoreTest {

    static final RoundId FIRST = new RoundId(1, 7);

    @TempDir Path temp;

    ModelStore models;
    Path initial;
    ModelSpec spec;
    ModelLayout layout;

    /** The store at a directory. */
    abstract ModelStore at(Path directory);

    /** Names in the store's directory, for people. */
    abstract List<String> names();

    private Path file(String name) {
        return temp.resolve("models").resolve(name);
    }

    @BeforeEach
    void prepare() throws Exception {
        SafetensorsHeader header = TestModels.header(SafetensorsHeader.tensor("w", DType.F32, 10));
        initial = TestModels.write(temp.resolve("initial"), header, 1);
        spec = TestModels.spec(initial, 4, UpdateKind.WEIGHTS);
        layout = spec.layout();
        models = at(temp.resolve("models"));
        models.prepare();
    }

    private List<Path> versions() throws IOException {
        if (!Files.exists(file("versions"))) {
            return List.of();
        }
        try (Stream<Path> all = Files.list(file("versions"))) {
            return all.toList();
        }
    }

    private ByteBuffer shard(int shard, int first) {
        byte[] bytes = new byte[layout.shardBytes(shard)];
        bytes[0] = (byte) first;
        return ByteBuffer.wrap(bytes);
    }

    void write(ModelWriter writer, int first) throws Exception {
        for (int shard = layout.shards() - 1; shard >= 0; shard--) {
            writer.write(shard, shard(shard, first));
        }
    }

    @Test
    void aVersionIsThereWhenItIsFinishedAndNotBefore() throws Exception {
        try (ModelWriter writer = models.write(FIRST, layout)) {
            write(writer, 1);
            assertThatThrownBy(() -> models.base(FIRST, spec))
                    .hasMessageContaining(" back, and the job goes on");
            assertThat(writer.read(2)).isEqualTo(shard(2, 1).array());
            assertThat(writer.finish()).isEqualTo(models.base(FIRST, spec));
        }
        assertThat(file("versions/" + FIRST + ".safetensors"))
                .hasSameBinaryContentAs(models.base(FIRST, spec));
        assertThat(models.place(FIRST))
                .endsWith(file("versions/" + FIRST + ".safetensors").toString());
        assertThat(models.base(FIRST, spec)).hasSize(layout.header().fileLength());
        assertThat(models.base(new RoundId(0, 0), spec)).isEqualTo(initial);
        assertThat(models.rejected(FIRST)).isFalse();
    }

    @Test
    void aRejectedVersionIsTheFormerModelAndSaysSo() throws Exception {
        try (ModelWriter writer = models.write(FIRST, layout)) {
            write(writer, 1);
            writer.reject(initial, "not finite");
        }
        models.force(FIRST);
        assertThat(models.base(FIRST, spec)).hasSameBinaryContentAs(initial);
        assertThat(models.rejected(FIRST)).isTrue();
    }

    @Test
    void whatIsNotFinishedIsGoneAlsoWhenSomebodyWasKilled() throws Exception {
        try (ModelWriter writer = models.write(FIRST, layout)) {
            write(writer, 1);
        }
        ModelWriter killed = models.write(FIRST, layout);
        models.prepare();
        assertThat(versions()).isEmpty();
        killed.close();
    }

    @Test
    void aReleasedVersionIsItsRoundsModelWithItsLedger() throws Exception {
        try (ModelWriter writer = models.write(FIRST, layout)) {
            write(writer, 1);
            writer.finish();
        }
        RoundLedger ledger = new RoundLedger("job", 1, 7, 7, "", List.of());
        long bytes = models.release(ledger);
        models.release(ledger);
        assertThat(file("model-1.json")).hasSize(bytes);
        assertThat(Json.decode(Files.readAllBytes(file("model-1.json")), RoundLedger.class))
                .isEqualTo(ledger);
    }

    @ParameterizedTest
    @ValueSource(booleans = {true, false})
    void whatTheEvaluatorSaysIsInTheLedgerWhicheverComesFirst(boolean ledgerFirst)
            throws Exception {
        try (ModelWriter writer = models.write(FIRST, layout)) {
            write(writer, 1);
            writer.finish();
        }
        RoundLedger ledger =
                new RoundLedger(
                        "job", 1, 7, 7, "", List.of(new RoundLedger.Entry("a", 3, "0000000a")));
        if (ledgerFirst) {
            models.release(ledger);
        }
        models.evaluate(new Evaluation("run", 1, 7, Map.of("accuracy", 0.5), ""));
        models.evaluate(new Evaluation("run", 1, 7, Map.of("accuracy", 0.75), ""));
        // Of a version that another one has followed.
        models.evaluate(new Evaluation("run", 1, 6, Map.of("accuracy", 0.1), ""));
        if (!ledgerFirst) {
            models.release(ledger);
        }
        byte[] file = Files.readAllBytes(file("model-1.json"));
        assertThat(Json.decode(file, RoundLedger.class)).isEqualTo(ledger);
        assertThat(Json.tree(file).path("evaluation").path("metrics").path("accuracy").asDouble())
                .isEqualTo(0.75);
        try (var files = Files.list(temp.resolve("models"))) {
            assertThat(files.map(f -> f.getFileName().toString()))
                    .containsExactlyInAnyOrderElementsOf(names());
        }
    }

    /** Whose end comes twice, as after a restore; the parts are gone by then. */
    @Test
    void aLedgerOfPartsIsJoinedOnce() throws Exception {
        try (ModelWriter writer = models.write(FIRST, layout)) {
            write(writer, 1);
            writer.finish();
        }
        for (int part = 0; part < 3; part++) {
            models.ledger(new LedgerPart(ledger("t-" + part), part, false));
        }
        models.forceLedger(FIRST);
        assertThat(models.release(ledger("t-3"))).isPositive();
        assertThat(models.release(ledger("t-3"))).isZero();
        RoundLedger whole =
                Json.decode(Files.readAllBytes(file("model-1.json")), RoundLedger.class);
        assertThat(whole.updates())
                .extracting(RoundLedger.Entry::trainer)
                .containsExactly("t-0", "t-1", "t-2", "t-3");
    }

    private static RoundLedger ledger(String trainer) {
        return new RoundLedger(
                "job", 1, 7, 7, "", List.of(new RoundLedger.Entry(trainer, 3, "0000000a")));
    }

    @Test
    void aNoteIsReadBackAndReplaced() throws Exception {
        assertThat(models.notes("quarantine")).isEmpty();
        models.note("quarantine", "t.1", "a".getBytes());
        models.note("quarantine", "t.1", "b".getBytes());
        assertThat(models.notes("quarantine"))
                .hasEntrySatisfying("t.1", text -> assertThat(text).isEqualTo("b".getBytes()))
                .hasSize(1);
    }
}
