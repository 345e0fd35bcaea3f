// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.aggregate;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.tributary.memory.kernel.Columns;
import io.tributary.memory.region.RegionDirectory;
import io.tributary.memory.region.RegionPool;
import io.tributary.node.PayloadStore;
import io.tributary.operators.aggregate.AggregatorInput.CloseNode;
import io.tributary.operators.aggregate.AggregatorInput.DropRound;
import io.tributary.operators.aggregate.AggregatorInput.FoldPartial;
import io.tributary.operators.aggregate.AggregatorInput.FoldUpdate;
import io.tributary.operators.clock.Clock;
import io.tributary.operators.model.ModelShard;
import io.tributary.operators.model.ModelSpec;
import io.tributary.operators.model.PosixModelStore;
import io.tributary.operators.model.Quarantine;
import io.tributary.operators.model.Quarantine.Breach;
import io.tributary.operators.optimizer.Algorithm;
import io.tributary.operators.testutils.Backends;
import io.tributary.operators.testutils.TestModels;
import io.tributary.protocol.message.RoundId;
import io.tributary.protocol.message.UpdateKind;
import io.tributary.protocol.tensor.DType;
import io.tributary.protocol.tensor.ModelLayout;
import io.tributary.protocol.tensor.SafetensorsHeader;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import org.apache.flink.runtime.checkpoint.OperatorSubtaskState;
import org.apache.flink.runtime.state.KeyGroupRangeAssignment;
import org.apache.flink.streaming.util.AbstractStreamOperatorTestHarness;
import org.apache.flink.streaming.util.KeyedOneInputStreamOperatorTestHarness;
import org.assertj.core.data.Offset;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

class AggregatorOperatorTest {

    private static final RoundId ROUND = new RoundId(1, 0);
    private static final RoundId BASE = new RoundId(0, 0);
    private static final SafetensorsHeader HEADER =
            TestModels.header(
                    SafetensorsHeader.tensor("f32", DType.F32, 5),
                    SafetensorsHeader.tensor("f64", DType.F64, 4),
                    SafetensorsHeader.tensor("f16", DType.F16, 3),
                    SafetensorsHeader.tensor("bf16", DType.BF16, 3),
                    SafetensorsHeader.tensor("i64", DType.I64, 3),
                    SafetensorsHeader.tensor("i32", DType.I32, 3),
                    SafetensorsHeader.tensor("i8", DType.I8, 3),
                    SafetensorsHeader.tensor("u8", DType.U8, 3),
                    SafetensorsHeader.tensor("bool", DType.BOOL, 3));
    private static final int SHARD = 7;

    @TempDir Path temp;

    private Path base;
    private final List<Path> updates = new ArrayList<>();
    private final long[] weights = {3, 10, 1};

    private static final int MAX_PARALLELISM = 128;

    @BeforeEach
    void writeFiles() {
        base = TestModels.write(temp.resolve("base"), HEADER, 1);
        for (int i = 0; i < weights.length; i++) {
            updates.add(TestModels.write(temp.resolve("u" + i), HEADER, 10 + i));
        }
    }

    private <OUT> KeyedOneInputStreamOperatorTestHarness<NodeShard, AggregatorInput, OUT> harness(
            AggregatorOperator<OUT> function, OperatorSubtaskState... restored) throws Exception {
        return harness(Backends.HEAP, function, restored);
    }

    private <OUT> KeyedOneInputStreamOperatorTestHarness<NodeShard, AggregatorInput, OUT> harness(
            Backends backend, AggregatorOperator<OUT> function, OperatorSubtaskState... restored)
            throws Exception {
        KeyedOneInputStreamOperatorTestHarness<NodeShard, AggregatorInput, OUT> harness =
                new KeyedOneInputStreamOperatorTestHarness<>(
                        function, AggregatorOperator.KEY, NodeShard.TYPE);
        harness.setStateBackend(backend.open());
        harness.setup();
        for (OperatorSubtaskState state : restored) {
            harness.initializeState(state);
        }
        harness.open();
        return harness;
    }

    private PosixModelStore models() {
        return PosixModelStore.at(temp.resolve("models"));
    }

    private FoldUpdate fold(int update, int shard) {
        return new FoldUpdate(
                "leaf",
                shard,
                ROUND,
                TestModels.payload(updates.get(update)),
                weights[update],
                "t",
                true);
    }

    private ModelSpec spec(UpdateKind kind) {
        return TestModels.spec(base, SHARD, kind);
    }

    /** Σ w·x over the updates, in float64, from the formula. */
    private double[] weightedSum() {
        double[] sum = new double[TestModels.values(base).length];
        for (int u = 0; u < weights.length; u++) {
            double[] values = TestModels.values(updates.get(u));
            for (int i = 0; i < sum.length; i++) {
                sum[i] += weights[u] * values[i];
            }
        }
        return sum;
    }

    @ParameterizedTest
    @CsvSource({"HEAP, HEAP", "ROCKSDB, ROCKSDB", "FORST, FORST", "HEAP, ROCKSDB", "ROCKSDB, HEAP"})
    void aLevelEmitsTheUnnormalisedSumThroughASnapshotAndRestore(Backends before, Backends after)
            throws Exception {
        int shards = spec(UpdateKind.WEIGHTS).layout().shards();
        OperatorSubtaskState snapshot;
        try (var harness =
                harness(
                        before,
                        new PartialSumOperator(
                                spec(UpdateKind.WEIGHTS),
                                models(),
                                PayloadStore.Place.NONE,
                                Optional.empty(),
                                Clock.SYSTEM))) {
            for (int shard = 0; shard < shards; shard++) {
                harness.processElement(fold(0, shard), 0);
                harness.processElement(fold(1, shard), 0);
                if (shard % 2 == 0) {
                    harness.processElement(close(shard, "leaf", "top", 3), 0);
                }
            }
            snapshot = before.leave(harness, after, 1);
            // What happens after the snapshot must not be seen by who restores it.
            harness.processElement(fold(2, 0), 0);
            assertThat(harness.extractOutputValues()).hasSize(1);
        }
        double[] reference = weightedSum();
        try (var harness =
                harness(
                        after,
                        new PartialSumOperator(
                                spec(UpdateKind.WEIGHTS),
                                models(),
                                PayloadStore.Place.NONE,
                                Optional.empty(),
                                Clock.SYSTEM),
                        snapshot)) {
            for (int shard = 0; shard < shards; shard++) {
                harness.processElement(fold(2, shard), 0);
                if (shard % 2 == 1) {
                    harness.processElement(close(shard, "leaf", "top", 3), 0);
                }
            }
            assertThat(harness.extractOutputValues()).hasSize(shards);
            for (AggregatorInput output : harness.extractOutputValues()) {
                FoldPartial partial = (FoldPartial) output;
                double[] sum = values(partial);
                assertThat(partial.node()).isEqualTo("top");
                assertThat(partial.weights().weight(0)).isEqualTo(14.0);
                for (int i = 0; i < sum.length; i++) {
                    double expected = reference[partial.shard() * SHARD + i];
                    assertThat(sum[i])
                            .isCloseTo(expected, Offset.offset(1e-12 * (1 + Math.abs(expected))));
                }
            }
            assertThat(harness.snapshot(2, 2).getRawKeyedState()).as("nothing is left").isEmpty();
        }
    }

    /** Sums go where their keys go, when a job is resumed with another parallelism. */
    @Test
    void sumsFollowTheirKeysToOtherSubtasks() throws Exception {
        int shards = spec(UpdateKind.WEIGHTS).layout().shards();
        OperatorSubtaskState snapshot;
        try (var harness = subtask(1, 0)) {
            harness.open();
            for (int shard = 0; shard < shards; shard++) {
                harness.processElement(fold(0, shard), 0);
            }
            snapshot = harness.snapshot(1, 1);
        }
        List<Integer> shardsOfEach = new ArrayList<>();
        for (int subtask = 0; subtask < 2; subtask++) {
            try (var harness = subtask(2, subtask)) {
                harness.initializeState(
                        AbstractStreamOperatorTestHarness.repartitionOperatorState(
                                snapshot, MAX_PARALLELISM, 1, 2, subtask));
                harness.open();
                for (int shard = 0; shard < shards; shard++) {
                    NodeShard key = AggregatorOperator.KEY.getKey(fold(0, shard));
                    if (KeyGroupRangeAssignment.assignKeyToParallelOperator(key, MAX_PARALLELISM, 2)
                            == subtask) {
                        shardsOfEach.add(subtask);
                        harness.processElement(close(shard, "leaf", "top", 1), 0);
                    }
                }
                assertThat(harness.extractOutputValues())
                        .hasSize(Collections.frequency(shardsOfEach, subtask))
                        .allMatch(out -> ((FoldPartial) out).weights().weight(0) == weights[0]);
            }
        }
        assertThat(shardsOfEach).hasSize(shards).contains(0, 1);
    }

    private KeyedOneInputStreamOperatorTestHarness<NodeShard, AggregatorInput, AggregatorInput>
            subtask(int parallelism, int subtask) throws Exception {
        return new KeyedOneInputStreamOperatorTestHarness<>(
                new PartialSumOperator(
                        spec(UpdateKind.WEIGHTS),
                        models(),
                        PayloadStore.Place.NONE,
                        Optional.empty(),
                        Clock.SYSTEM),
                AggregatorOperator.KEY,
                NodeShard.TYPE,
                MAX_PARALLELISM,
                parallelism,
                subtask);
    }

    private double[] values(AggregatorInput partial) {
        return TestSums.values(
                spec(UpdateKind.WEIGHTS).layout(), partial.shard(), ((FoldPartial) partial).sum());
    }

    @Test
    void sumsInRegionsPassFromLevelToLevelThroughASnapshot() throws Exception {
        ModelSpec spec = spec(UpdateKind.WEIGHTS);
        ModelLayout layout = spec.layout();
        Optional<RegionPool.Place> partials =
                Optional.of(new RegionPool.Place("job", temp.toString(), 1L << 24));
        double[] sum = weightedSum();
        byte[] model = new byte[(int) (HEADER.fileLength() - HEADER.dataOffset())];
        // Held by whoever reads, as the next level does in a job.
        try (RegionPool pool = new RegionPool.Place("job", temp.toString(), 1L << 24).open(0)) {
            OperatorSubtaskState snapshot;
            try (var leaf =
                    harness(
                            new PartialSumOperator(
                                    spec,
                                    models(),
                                    PayloadStore.Place.NONE,
                                    partials,
                                    Clock.SYSTEM))) {
                for (int shard = 0; shard < layout.shards(); shard++) {
                    leaf.processElement(fold(0, shard), 0);
                }
                snapshot = leaf.snapshot(1, 1);
                // Folding goes on in the very memory that the snapshot was taken of.
                for (int shard = 0; shard < layout.shards(); shard++) {
                    for (int i = 0; i < 40; i++) {
                        leaf.processElement(fold(2, shard), 0);
                    }
                }
            }
            List<AggregatorInput> sums;
            try (var leaf =
                            harness(
                                    new PartialSumOperator(
                                            spec,
                                            models(),
                                            PayloadStore.Place.NONE,
                                            partials,
                                            Clock.SYSTEM),
                                    snapshot);
                    var top =
                            harness(
                                    new TopOperator(
                                            spec,
                                            models(),
                                            PayloadStore.Place.NONE,
                                            partials,
                                            Algorithm.FEDAVG,
                                            Clock.SYSTEM))) {
                for (int shard = 0; shard < layout.shards(); shard++) {
                    leaf.processElement(fold(1, shard), 0);
                    leaf.processElement(fold(2, shard), 0);
                    leaf.processElement(close(shard, "leaf", "top", 3), 0);
                    top.processElement(close(shard, "top", "", 1), 0);
                }
                sums = leaf.extractOutputValues();
                assertThat(sums)
                        .hasSize(layout.shards())
                        .allMatch(s -> ((FoldPartial) s).sum() instanceof PartialSum.InRegion);
                for (AggregatorInput partial : sums) {
                    top.processElement(partial, 0);
                }
                place(top.extractOutputValues(), layout, model, pool);
            }
        }
        double[] mean = TestModels.values(HEADER, model);
        for (int i = 0; i < 5; i++) {
            assertThat(mean[i]).isCloseTo(sum[i] / 14, Offset.offset(1e-6 * Math.abs(sum[i])));
        }
        // Without regions, the same.
        byte[] exact = new byte[model.length];
        try (var top =
                harness(
                        new TopOperator(
                                spec,
                                models(),
                                PayloadStore.Place.NONE,
                                Optional.empty(),
                                Algorithm.FEDAVG,
                                Clock.SYSTEM))) {
            for (int shard = 0; shard < layout.shards(); shard++) {
                for (int u = 0; u < weights.length; u++) {
                    top.processElement(
                            new FoldUpdate(
                                    "top",
                                    shard,
                                    ROUND,
                                    TestModels.payload(updates.get(u)),
                                    weights[u],
                                    "t",
                                    true),
                            0);
                }
                top.processElement(close(shard, "top", "", 3), 0);
            }
            place(top.extractOutputValues(), layout, exact, null);
        }
        double[] wide = TestModels.values(HEADER, exact);
        for (int i = 5; i < mean.length; i++) {
            assertThat(mean[i]).isEqualTo(wide[i]);
        }
        assertThat(RegionDirectory.list(temp)).isEmpty();
    }

    /** As in a mask: float32's lowest value, times any number of samples. */
    @Test
    void valuesAtTheEndOfFloatDoNotOverflowTheSum() throws Exception {
        SafetensorsHeader header =
                TestModels.header(SafetensorsHeader.tensor("mask", DType.F32, 3));
        base = TestModels.write(temp.resolve("base"), header, 1);
        byte[] bytes = Files.readAllBytes(base);
        ByteBuffer data = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
        float[] values = {-Float.MAX_VALUE, Float.MAX_VALUE, 1e-20f};
        for (int i = 0; i < values.length; i++) {
            data.putFloat((int) header.dataOffset() + 4 * i, values[i]);
        }
        Path update = Files.write(temp.resolve("mask"), bytes);
        Optional<RegionPool.Place> regions =
                Optional.of(new RegionPool.Place("job", temp.toString(), 1L << 24));
        try (RegionPool pool = new RegionPool.Place("job", temp.toString(), 1L << 24).open(0);
                var top =
                        harness(
                                new TopOperator(
                                        spec(UpdateKind.WEIGHTS),
                                        models(),
                                        PayloadStore.Place.NONE,
                                        regions,
                                        Algorithm.FEDAVG,
                                        Clock.SYSTEM))) {
            for (int i = 0; i < 3; i++) {
                top.processElement(
                        new FoldUpdate(
                                "top",
                                0,
                                ROUND,
                                TestModels.payload(update),
                                1_000_000 + i,
                                "t",
                                true),
                        0);
            }
            top.processElement(close(0, "top", "", 3), 0);
            pool.consume(
                    top.extractOutputValues().get(0).region().orElseThrow(),
                    memory -> {
                        for (int i = 0; i < values.length; i++) {
                            assertThat(memory.slice(4L * i, 4).getFloat())
                                    .isCloseTo(
                                            values[i], Offset.offset(Math.abs(values[i]) * 1e-6f));
                        }
                    });
        }
    }

    private static void place(
            List<ModelShard> shards, ModelLayout layout, byte[] model, RegionPool pool) {
        assertThat(shards).hasSize(layout.shards());
        for (ModelShard shard : shards) {
            if (shard.region().isPresent()) {
                pool.consume(
                        shard.region().get(),
                        memory ->
                                memory.slice(0, layout.shardBytes(shard.shard()))
                                        .get(
                                                model,
                                                (int)
                                                        (layout.fileOffset(shard.shard())
                                                                - HEADER.dataOffset()),
                                                layout.shardBytes(shard.shard())));
                continue;
            }
            System.arraycopy(
                    shard.bytes(),
                    0,
                    model,
                    (int) (layout.fileOffset(shard.shard()) - HEADER.dataOffset()),
                    shard.bytes().length);
        }
    }

    private static CloseNode close(int shard, String node, String parent, int contributions) {
        return new CloseNode(
                node,
                shard,
                ROUND,
                parent,
                contributions,
                new AggregatorInput.RoundEnd(
                        ROUND, BASE, contributions, contributions, Map.of(), 77));
    }

    @Test
    void theTopDividesAndAddsDeltasToTheModelThatTrainersStartedFrom() throws Exception {
        double[] sum = weightedSum();
        double[] before = TestModels.values(base);
        OperatorSubtaskState snapshot;
        double[] first = new double[sum.length];
        try (var harness =
                harness(
                        new TopOperator(
                                spec(UpdateKind.DELTA),
                                models(),
                                PayloadStore.Place.NONE,
                                Optional.empty(),
                                Algorithm.FEDAVG,
                                Clock.SYSTEM))) {
            top(harness, ROUND, BASE, first);
            snapshot = harness.snapshot(1, 1);
        }
        double[] exact = new double[sum.length];
        for (int i = 0; i < sum.length; i++) {
            exact[i] = before[i] + sum[i] / 14;
        }
        double[] expected = TestModels.rounded(HEADER, exact);
        assertThat(first).containsExactly(expected);

        double[] second = new double[sum.length];
        try (var harness =
                harness(
                        new TopOperator(
                                spec(UpdateKind.DELTA),
                                models(),
                                PayloadStore.Place.NONE,
                                Optional.empty(),
                                Algorithm.FEDAVG,
                                Clock.SYSTEM),
                        snapshot)) {
            top(harness, new RoundId(2, 0), ROUND, second);
        }
        for (int i = 0; i < sum.length; i++) {
            exact[i] = expected[i] + sum[i] / 14;
        }
        assertThat(second).containsExactly(TestModels.rounded(HEADER, exact));
    }

    /** Closes come first, then partial sums in an order of their own. */
    private void top(
            KeyedOneInputStreamOperatorTestHarness<NodeShard, AggregatorInput, ModelShard> harness,
            RoundId round,
            RoundId from,
            double[] into)
            throws Exception {
        var layout = spec(UpdateKind.DELTA).layout();
        byte[] model = new byte[(int) (HEADER.fileLength() - HEADER.dataOffset())];
        for (int shard = 0; shard < layout.shards(); shard++) {
            harness.processElement(
                    new CloseNode(
                            "top",
                            shard,
                            round,
                            "",
                            3,
                            new AggregatorInput.RoundEnd(round, from, 3, 3, Map.of(), 77)),
                    0);
        }
        for (int u = weights.length - 1; u >= 0; u--) {
            double[] values = TestModels.values(updates.get(u));
            for (int shard = 0; shard < layout.shards(); shard++) {
                double[] part = new double[layout.shardLength(shard)];
                for (int i = 0; i < part.length; i++) {
                    part[i] = weights[u] * values[shard * SHARD + i];
                }
                harness.processElement(
                        new FoldPartial(
                                "top",
                                shard,
                                round,
                                RunWeights.same(layout.segments(shard).size(), weights[u], 1),
                                TestSums.of(layout, shard, part)),
                        0);
            }
        }
        assertThat(harness.extractOutputValues()).hasSize(layout.shards());
        for (ModelShard shard : harness.extractOutputValues()) {
            assertThat(shard.lastUpdateMicros()).isEqualTo(77);
            System.arraycopy(
                    shard.bytes(),
                    0,
                    model,
                    (int) (layout.fileOffset(shard.shard()) - HEADER.dataOffset()),
                    shard.bytes().length);
        }
        System.arraycopy(TestModels.values(HEADER, model), 0, into, 0, into.length);
        // As the publisher does.
        Path version = models().version(round);
        Files.createDirectories(version.getParent());
        byte[] file = Arrays.copyOf(HEADER.bytes(), (int) HEADER.fileLength());
        System.arraycopy(model, 0, file, (int) HEADER.dataOffset(), model.length);
        Files.write(version, file);
    }

    @Test
    void anAbandonedRoundLeavesNothing() throws Exception {
        try (var harness =
                harness(
                        new PartialSumOperator(
                                spec(UpdateKind.WEIGHTS),
                                models(),
                                PayloadStore.Place.NONE,
                                Optional.empty(),
                                Clock.SYSTEM))) {
            harness.processElement(fold(0, 0), 0);
            harness.processElement(new DropRound("leaf", 0, ROUND), 0);
            harness.processElement(
                    new FoldUpdate(
                            "leaf",
                            0,
                            new RoundId(1, 1),
                            TestModels.payload(updates.get(1)),
                            weights[1],
                            "t",
                            true),
                    0);
            harness.processElement(
                    new CloseNode(
                            "leaf",
                            0,
                            new RoundId(1, 1),
                            "top",
                            1,
                            new AggregatorInput.RoundEnd(ROUND, BASE, 1, 1, Map.of(), 0)),
                    0);

            FoldPartial partial = (FoldPartial) harness.extractOutputValues().get(0);
            assertThat(partial.weights().weight(0)).isEqualTo(10.0);
            assertThat(values(partial)[0]).isEqualTo(10 * TestModels.values(updates.get(1))[0]);
        }
    }

    @Test
    void tensorsAreFoundByNameWhateverTheirOrder() throws Exception {
        SafetensorsHeader model =
                TestModels.header(
                        SafetensorsHeader.tensor("a", DType.F32, 2),
                        SafetensorsHeader.tensor("b", DType.F64, 1));
        SafetensorsHeader other =
                TestModels.header(
                        SafetensorsHeader.tensor("b", DType.F64, 1),
                        SafetensorsHeader.tensor("a", DType.F32, 2));
        base = TestModels.write(temp.resolve("base"), model, 1);
        Path update = TestModels.write(temp.resolve("other"), other, 2);
        double[] values = TestModels.values(update);
        try (var harness =
                harness(
                        new PartialSumOperator(
                                spec(UpdateKind.WEIGHTS),
                                models(),
                                PayloadStore.Place.NONE,
                                Optional.empty(),
                                Clock.SYSTEM))) {
            harness.processElement(
                    new FoldUpdate("leaf", 0, ROUND, TestModels.payload(update), 2, "t", true), 0);
            harness.processElement(close(0, "leaf", "top", 1), 0);

            assertThat(values(harness.extractOutputValues().get(0)))
                    .containsExactly(2 * values[1], 2 * values[2], 2 * values[0]);
        }
    }

    @Test
    void allNodesOfAShardAreAtOneSubtask() {
        assertThat(new NodeShard("leaf/eu/0", 9)).hasSameHashCodeAs(new NodeShard("top", 9));
    }

    /** Whichever of those that wait together it is, and whatever its type. */
    @ParameterizedTest
    @EnumSource(
            value = DType.class,
            names = {"F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2"})
    void anUpdateThatIsNotFiniteIsWrittenDownAndFailsTheTask(DType type) throws Exception {
        SafetensorsHeader header =
                TestModels.header(
                        SafetensorsHeader.tensor("i", DType.I32, 3),
                        SafetensorsHeader.tensor("w", type, 50));
        base = TestModels.write(temp.resolve("base"), header, 1);
        ModelSpec spec = TestModels.spec(base, 64, UpdateKind.WEIGHTS);
        Random random = new Random(type.ordinal());
        Path good = TestModels.write(temp.resolve("good"), header, random::nextGaussian);
        Path bad = TestModels.write(temp.resolve("bad"), header, random::nextGaussian);
        byte[] bytes = Files.readAllBytes(bad);
        type.put(
                ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN),
                (int) header.dataOffset() + 12 + random.nextInt(50) * type.bytes(),
                Double.NaN);
        Files.write(bad, bytes);
        int at = random.nextInt(Columns.MAX);
        try (var harness =
                harness(
                        new PartialSumOperator(
                                spec,
                                models(),
                                PayloadStore.Place.NONE,
                                Optional.empty(),
                                Clock.SYSTEM))) {
            assertThatThrownBy(
                            () -> {
                                for (int i = 0; i < Columns.MAX; i++) {
                                    harness.processElement(
                                            new FoldUpdate(
                                                    "leaf",
                                                    0,
                                                    ROUND,
                                                    TestModels.payload(i == at ? bad : good),
                                                    1 + i,
                                                    "t-" + i,
                                                    i % 2 == 0),
                                            0);
                                }
                            })
                    .hasMessageContaining("was not finite when it was folded");
            assertThat(new Quarantine(models()).read())
                    .containsExactly(
                            Map.entry("t-" + at, at % 2 == 0 ? Breach.CHANGE : Breach.PROMISE));
        }
    }
}
