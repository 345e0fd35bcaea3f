// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.tributary.node.PayloadStore;
import io.tributary.operators.clock.Clock;
import io.tributary.operators.testutils.TestModels;
import io.tributary.protocol.chunk.ChunkPart;
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
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;
import org.apache.flink.runtime.checkpoint.OperatorSubtaskState;
import org.apache.flink.streaming.api.operators.co.CoProcessOperator;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;
import org.apache.flink.streaming.util.TwoInputStreamOperatorTestHarness;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ModelPublisherTest {

    private static final SafetensorsHeader HEADER =
            TestModels.header(
                    SafetensorsHeader.tensor("a", DType.F64, 5),
                    SafetensorsHeader.tensor("b", DType.F32, 4));
    private static final RoundId ROUND = new RoundId(3, 1);
    private static final RoundId INITIAL = new RoundId(0, 0);

    @TempDir Path temp;

    private Path initial;
    private Path expected;
    private PosixModelStore models;
    private ModelLayout layout;

    @BeforeEach
    void writeModel() {
        initial = TestModels.write(temp.resolve("initial"), HEADER, 4);
        expected = TestModels.write(temp.resolve("expected"), HEADER, 5);
        models = PosixModelStore.at(temp.resolve("models"));
        layout = TestModels.layout(expected, 2);
    }

    private TwoInputStreamOperatorTestHarness<ModelShard, LedgerPart, PublishedModel> harness(
            OperatorSubtaskState... restored) throws Exception {
        var harness =
                new TwoInputStreamOperatorTestHarness<>(
                        new CoProcessOperator<>(
                                new ModelPublisher(
                                        "job",
                                        "run",
                                        TestModels.spec(initial, 2, UpdateKind.WEIGHTS),
                                        models,
                                        PayloadStore.Place.NONE,
                                        Optional.empty(),
                                        Clock.SYSTEM)));
        harness.setup();
        for (OperatorSubtaskState state : restored) {
            harness.initializeState(state);
        }
        harness.open();
        return harness;
    }

    private ModelShard shard(int shard) throws Exception {
        return shard(ROUND, INITIAL, shard, "");
    }

    private ModelShard shard(RoundId version, RoundId base, int shard, String flaw)
            throws Exception {
        byte[] file = Files.readAllBytes(expected);
        int from = (int) layout.fileOffset(shard);
        return new ModelShard(
                version,
                base,
                shard,
                Arrays.copyOfRange(file, from, from + layout.shardBytes(shard)),
                Optional.empty(),
                flaw,
                1);
    }

    private static RoundLedger ledger(RoundId version) {
        return new RoundLedger(
                "job",
                version.round(),
                version.epoch(),
                version.epoch(),
                "",
                List.of(new RoundLedger.Entry("t", 1, "00000000")));
    }

    private static List<RoundLedger> ledgers(
            TwoInputStreamOperatorTestHarness<ModelShard, LedgerPart, PublishedModel> harness) {
        var records = harness.getSideOutput(ModelPublisher.LEDGERS);
        return records == null ? List.of() : records.stream().map(StreamRecord::getValue).toList();
    }

    private void take(
            TwoInputStreamOperatorTestHarness<ModelShard, LedgerPart, PublishedModel> harness,
            int... shards)
            throws Exception {
        for (int shard : shards) {
            harness.processElement1(shard(shard), 0);
        }
    }

    /** What happens when the checkpoint has completed that holds a ledger. */
    private void commit(RoundLedger ledger) throws IOException {
        models.release(ledger);
    }

    @Test
    void aFileAppearsWhenAllShardsAndTheLedgerAreThereThroughASnapshotAndRestore()
            throws Exception {
        OperatorSubtaskState snapshot;
        try (var harness = harness()) {
            take(harness, 3, 0);
            harness.processElement2(new LedgerPart(ledger(ROUND), 0, true), 0);
            snapshot = harness.snapshot(1, 1);
            assertThat(models.version(ROUND)).doesNotExist();
        }
        try (var harness = harness(snapshot)) {
            take(harness, 4, 1);
            assertThat(harness.extractOutputValues()).isEmpty();
            take(harness, 2);
            PublishedModel published = harness.extractOutputValues().get(0);
            assertThat(published.path()).isEqualTo(models.version(ROUND).toString());
            assertThat(published.description().id()).isEqualTo(ROUND);
            assertThat(published.description().run()).isEqualTo("run");
            assertThat(published.description().rejected()).isEmpty();
            assertThat(published.description().crc32c())
                    .isEqualTo(ChunkPart.crc(ByteBuffer.wrap(Files.readAllBytes(expected))));
            assertThat(ledgers(harness)).containsExactly(ledger(ROUND));
            harness.snapshot(2, 2);
        }
        assertThat(models.model(3)).as("the checkpoint may still fail").doesNotExist();
        commit(ledger(ROUND));
        assertThat(models.model(3)).hasSameBinaryContentAs(expected);
        assertThat(models.version(ROUND)).hasSameBinaryContentAs(expected);
    }

    /** Item 11: a lost file, and a file of zeros after a power cut, are written again. */
    @Test
    void whatACheckpointSaysIsWrittenDoesNotDependOnTheFile() throws Exception {
        OperatorSubtaskState snapshot;
        try (var harness = harness()) {
            take(harness, 0, 1, 2, 3);
            snapshot = harness.snapshot(1, 1);
        }
        for (boolean lost : new boolean[] {true, false}) {
            try (Stream<Path> files = Files.walk(temp.resolve("models"))) {
                for (Path file : files.filter(Files::isRegularFile).toList()) {
                    if (lost) {
                        Files.delete(file);
                    } else {
                        Files.write(file, new byte[(int) Files.size(file)]);
                    }
                }
            }
            try (var harness = harness(snapshot)) {
                harness.processElement2(new LedgerPart(ledger(ROUND), 0, true), 0);
                take(harness, 4);
                assertThat(harness.extractOutputValues()).hasSize(1);
                harness.snapshot(2, 2);
            }
            assertThat(models.version(ROUND)).hasSameBinaryContentAs(expected);
        }
    }

    @Test
    void whatAnEndedRunLeftIsNotMixedIn() throws Exception {
        Path left = models.part(ROUND);
        Files.createDirectories(left.getParent());
        Files.write(left, new byte[10_000]);
        Files.createFile(temp.resolve("models/.model-" + ROUND));
        try (var harness = harness()) {
            assertThat(left).doesNotExist();
            harness.processElement2(new LedgerPart(ledger(ROUND), 0, true), 0);
            take(harness, 0, 1, 2, 3, 4);
        }
        commit(ledger(ROUND));
        assertThat(models.model(3)).hasSameBinaryContentAs(expected);
    }

    @Test
    void aRestoreToBeforeTheFileWasWholeMakesItWholeAgain() throws Exception {
        OperatorSubtaskState snapshot;
        try (var harness = harness()) {
            harness.processElement2(new LedgerPart(ledger(ROUND), 0, true), 0);
            take(harness, 0, 1, 2);
            snapshot = harness.snapshot(1, 1);
            take(harness, 3, 4);
            assertThat(models.version(ROUND)).exists();
        }
        try (var harness = harness(snapshot)) {
            take(harness, 3, 4);
            assertThat(harness.extractOutputValues()).hasSize(1);
        }
        assertThat(models.version(ROUND)).hasSameBinaryContentAs(expected);
    }

    /** Item 12: one bad shard, whichever comes when, and no shard is advanced. */
    @Test
    void aModelThatIsNotFiniteIsRejectedAsAWhole() throws Exception {
        RoundId next = new RoundId(4, 1);
        try (var harness = harness()) {
            harness.processElement2(new LedgerPart(ledger(ROUND), 0, true), 0);
            take(harness, 0, 1, 2, 3, 4);
            for (int shard = 0; shard < 5; shard++) {
                harness.processElement1(
                        shard(next, ROUND, shard, shard == 2 ? "tensor 'a' is NaN" : ""), 0);
            }
            harness.processElement2(new LedgerPart(ledger(next), 0, true), 0);
            PublishedModel rejected = harness.extractOutputValues().get(1);
            assertThat(rejected.description().id()).isEqualTo(next);
            assertThat(rejected.description().rejected()).isEqualTo("tensor 'a' is NaN");
            assertThat(ledgers(harness).get(1))
                    .isEqualTo(ledger(next).rejected("tensor 'a' is NaN"));
            harness.snapshot(1, 1);
        }
        assertThat(models.version(next)).hasSameBinaryContentAs(models.version(ROUND));
    }

    @Test
    void aRejectedFirstRoundPublishesTheInitialModelAlsoAfterARestore() throws Exception {
        OperatorSubtaskState snapshot;
        try (var harness = harness()) {
            harness.processElement1(shard(ROUND, INITIAL, 2, "flaw"), 0);
            harness.processElement2(new LedgerPart(ledger(ROUND), 0, true), 0);
            snapshot = harness.snapshot(1, 1);
        }
        try (var harness = harness(snapshot)) {
            take(harness, 0, 1, 3, 4);
            assertThat(harness.extractOutputValues().get(0).description().rejected())
                    .isEqualTo("flaw");
        }
        assertThat(models.version(ROUND)).hasSameBinaryContentAs(initial);
    }

    @Test
    void aBaseThatSomebodyRemovedIsNamedAndIsOnlyMissedWhereItIsNeeded() throws Exception {
        RoundId next = new RoundId(4, 1);
        OperatorSubtaskState snapshot;
        try (var harness = harness()) {
            for (int shard = 0; shard < 4; shard++) {
                harness.processElement1(shard(next, ROUND, shard, ""), 0);
            }
            harness.processElement2(new LedgerPart(ledger(next), 0, true), 0);
            snapshot = harness.snapshot(1, 1);
        }
        try (var harness = harness(snapshot)) {
            assertThatThrownBy(() -> harness.processElement1(shard(next, ROUND, 4, "flaw"), 0))
                    .hasMessageContaining("started from, " + ROUND)
                    .hasMessageContaining("put the file back");
        }
        try (var harness = harness(snapshot)) {
            harness.processElement1(shard(next, ROUND, 4, ""), 0);
            assertThat(harness.extractOutputValues()).hasSize(1);
        }
    }

    /** Item 10: who goes back to an older checkpoint finds the model that it names. */
    @Test
    void aVersionIsNeverWrittenOver() throws Exception {
        RoundId other = new RoundId(3, 2);
        try (var harness = harness()) {
            harness.processElement2(new LedgerPart(ledger(ROUND), 0, true), 0);
            take(harness, 0, 1, 2, 3, 4);
            commit(ledger(ROUND));
            expected = TestModels.write(temp.resolve("other"), HEADER, 6);
            harness.processElement2(new LedgerPart(ledger(other), 0, true), 0);
            for (int shard = 0; shard < 5; shard++) {
                harness.processElement1(shard(other, INITIAL, shard, ""), 0);
            }
        }
        commit(ledger(other));
        assertThat(models.version(ROUND)).hasSameBinaryContentAs(temp.resolve("expected"));
        assertThat(models.version(other)).hasSameBinaryContentAs(temp.resolve("other"));
        assertThat(models.model(3)).hasSameBinaryContentAs(temp.resolve("other"));
    }

    @Test
    void nothingIsLeftBesideModelsAndVersions() throws IOException, Exception {
        try (var harness = harness()) {
            harness.processElement2(new LedgerPart(ledger(ROUND), 0, true), 0);
            take(harness, 0, 1, 2, 3, 4);
            harness.snapshot(1, 1);
            harness.processElement1(shard(new RoundId(4, 1), ROUND, 0, ""), 0);
        }
        commit(ledger(ROUND));
        try (Stream<Path> files = Files.walk(temp.resolve("models"))) {
            assertThat(files.filter(Files::isRegularFile))
                    .containsExactlyInAnyOrder(
                            models.model(3), models.ledger(3), models.version(ROUND));
        }
    }

    @Test
    void aVersionThatSomebodyRemovedDoesNotStopItsLedger() throws Exception {
        Files.createDirectories(temp.resolve("models"));
        commit(ledger(ROUND));
        assertThat(models.ledger(3)).exists();
        assertThat(models.model(3)).doesNotExist();
    }
}
