// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.model;

import static org.assertj.core.api.Assertions.assertThat;

import io.tributary.operators.testutils.TestModels;
import io.tributary.protocol.chunk.ChunkPart;
import io.tributary.protocol.message.RoundId;
import io.tributary.protocol.message.UpdateKind;
import io.tributary.protocol.tensor.DType;
import io.tributary.protocol.tensor.ModelLayout;
import io.tributary.protocol.tensor.SafetensorsHeader;
import io.tributary.shm.node.RegionAccess;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Optional;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.runtime.checkpoint.OperatorSubtaskState;
import org.apache.flink.streaming.api.operators.KeyedProcessOperator;
import org.apache.flink.streaming.util.KeyedOneInputStreamOperatorTestHarness;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ModelPublisherTest {

    private static final SafetensorsHeader HEADER =
            TestModels.header(
                    SafetensorsHeader.tensor("a", DType.F64, 5),
                    SafetensorsHeader.tensor("b", DType.F32, 4));
    private static final RoundId ROUND = new RoundId(3, 1);

    @TempDir Path temp;

    private Path expected;
    private Path out;
    private ModelLayout layout;

    @BeforeEach
    void writeModel() {
        expected = TestModels.write(temp.resolve("expected"), HEADER, 5);
        out = temp.resolve("model-3.safetensors");
        layout = TestModels.layout(expected, 2);
    }

    private KeyedOneInputStreamOperatorTestHarness<String, ModelShard, PublishedModel> harness(
            OperatorSubtaskState... restored) throws Exception {
        String target = out.toString();
        var harness =
                new KeyedOneInputStreamOperatorTestHarness<>(
                        new KeyedProcessOperator<>(
                                new ModelPublisher(
                                        "job",
                                        TestModels.spec(expected, 2, UpdateKind.WEIGHTS),
                                        round -> Path.of(target),
                                        RegionAccess.Place.NONE,
                                        Optional.empty())),
                        shard -> shard.round().toString(),
                        Types.STRING);
        harness.setup();
        for (OperatorSubtaskState state : restored) {
            harness.initializeState(state);
        }
        harness.open();
        return harness;
    }

    private ModelShard shard(int shard) throws Exception {
        byte[] file = Files.readAllBytes(expected);
        int from = (int) layout.fileOffset(shard);
        return new ModelShard(
                ROUND,
                shard,
                Arrays.copyOfRange(file, from, from + layout.shardBytes(shard)),
                Optional.empty(),
                1);
    }

    @Test
    void aFileAppearsWhenAllShardsAreThereThroughASnapshotAndRestore() throws Exception {
        OperatorSubtaskState snapshot;
        try (var harness = harness()) {
            harness.processElement(shard(3), 0);
            harness.processElement(shard(0), 0);
            snapshot = harness.snapshot(1, 1);
            assertThat(out).doesNotExist();
        }
        try (var harness = harness(snapshot)) {
            for (int shard : new int[] {4, 1, 2}) {
                assertThat(harness.extractOutputValues()).isEmpty();
                harness.processElement(shard(shard), 0);
            }
            PublishedModel published = harness.extractOutputValues().get(0);
            assertThat(published.path()).isEqualTo(out.toString());
            assertThat(published.description().id()).isEqualTo(ROUND);
            assertThat(published.description().crc32c())
                    .isEqualTo(ChunkPart.crc(ByteBuffer.wrap(Files.readAllBytes(expected))));
        }
        assertThat(out).hasSameBinaryContentAs(expected);
    }

    @Test
    void whatAnEndedRunLeftIsNotMixedIn() throws Exception {
        Files.write(temp.resolve("model-3.safetensors.3.1.part"), new byte[10_000]);
        try (var harness = harness()) {
            for (int shard : new int[] {0, 1, 2, 3, 4}) {
                harness.processElement(shard(shard), 0);
            }
        }
        assertThat(out).hasSameBinaryContentAs(expected);
    }

    @Test
    void aRestoreToBeforeTheFileWasWholeMakesItWholeAgain() throws Exception {
        OperatorSubtaskState snapshot;
        try (var harness = harness()) {
            for (int shard : new int[] {0, 1, 2}) {
                harness.processElement(shard(shard), 0);
            }
            snapshot = harness.snapshot(1, 1);
            harness.processElement(shard(3), 0);
            harness.processElement(shard(4), 0);
            assertThat(out).exists();
        }
        try (var harness = harness(snapshot)) {
            harness.processElement(shard(3), 0);
            harness.processElement(shard(4), 0);
            assertThat(harness.extractOutputValues()).hasSize(1);
        }
        assertThat(out).hasSameBinaryContentAs(expected);
    }
}
