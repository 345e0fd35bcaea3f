// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.aggregate;

import static org.assertj.core.api.Assertions.assertThat;

import io.tributary.memory.region.RegionPool;
import io.tributary.node.PayloadStore;
import io.tributary.operators.aggregate.AggregatorInput.CloseNode;
import io.tributary.operators.aggregate.AggregatorInput.FoldPartial;
import io.tributary.operators.aggregate.AggregatorInput.FoldUpdate;
import io.tributary.operators.clock.Clock;
import io.tributary.operators.model.ModelShard;
import io.tributary.operators.model.PosixModelStore;
import io.tributary.operators.optimizer.Algorithm;
import io.tributary.operators.testutils.TestModels;
import io.tributary.protocol.message.RoundId;
import io.tributary.protocol.message.UpdateKind;
import io.tributary.protocol.tensor.DType;
import io.tributary.protocol.tensor.SafetensorsHeader;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.stream.DoubleStream;
import java.util.stream.Stream;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import org.apache.flink.streaming.util.KeyedOneInputStreamOperatorTestHarness;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Item 12: values at both ends of their types. */
class NotFiniteTest {

    private static final RoundId ROUND = new RoundId(1, 0);
    private static final RoundId BASE = new RoundId(0, 0);

    @TempDir Path temp;

    /** An update of one tensor. */
    private record Update(long samples, double... values) {}

    /** Values as they stand in a file. */
    private static Path write(Path file, DType type, double... values) {
        SafetensorsHeader header =
                TestModels.header(SafetensorsHeader.tensor("w", type, values.length));
        Iterator<Double> all = DoubleStream.of(values).iterator();
        return TestModels.write(file, header, all::next);
    }

    /** The shard that a leaf and a top make of updates. */
    private ModelShard mean(
            DType type,
            UpdateKind kind,
            double[] base,
            Optional<RegionPool.Place> pool,
            Update... updates)
            throws Exception {
        Path model = write(temp.resolve("base"), type, base);
        var spec = TestModels.spec(model, 1 << 20, kind);
        try (var leaf =
                        harness(
                                new PartialSumOperator(
                                        spec,
                                        PosixModelStore.at(temp.resolve("models")),
                                        PayloadStore.Place.NONE,
                                        pool,
                                        Clock.SYSTEM));
                var top =
                        harness(
                                new TopOperator(
                                        spec,
                                        PosixModelStore.at(temp.resolve("models")),
                                        PayloadStore.Place.NONE,
                                        pool,
                                        Algorithm.FEDAVG,
                                        Clock.SYSTEM))) {
            int number = 0;
            for (Update update : updates) {
                Path file = write(temp.resolve("u-" + number++), type, update.values());
                leaf.processElement(
                        new FoldUpdate(
                                "leaf",
                                0,
                                ROUND,
                                TestModels.payload(file),
                                update.samples(),
                                "t",
                                true),
                        0);
            }
            leaf.processElement(
                    new CloseNode(
                            "leaf",
                            0,
                            ROUND,
                            "top",
                            updates.length,
                            new AggregatorInput.RoundEnd(
                                    ROUND, BASE, updates.length, updates.length, Map.of(), 0)),
                    0);
            top.processElement(
                    new CloseNode(
                            "top",
                            0,
                            ROUND,
                            "",
                            1,
                            new AggregatorInput.RoundEnd(ROUND, BASE, 1, 1, Map.of(), 0)),
                    0);
            top.processElement((FoldPartial) leaf.extractOutputValues().get(0), 0);
            ModelShard shard = top.extractOutputValues().get(0);
            if (shard.region().isEmpty()) {
                return shard;
            }
            byte[] bytes = new byte[spec.layout().shardBytes(0)];
            pool.get()
                    .open(0)
                    .consume(
                            shard.region().get(),
                            memory -> memory.slice(0, bytes.length).get(bytes));
            return new ModelShard(
                    shard.round(),
                    shard.base(),
                    0,
                    bytes,
                    Optional.empty(),
                    shard.flaw(),
                    shard.lastUpdateMicros());
        }
    }

    private static <OUT>
            KeyedOneInputStreamOperatorTestHarness<NodeShard, AggregatorInput, OUT> harness(
                    AggregatorOperator<OUT> function) throws Exception {
        var harness =
                new KeyedOneInputStreamOperatorTestHarness<>(
                        function, AggregatorOperator.KEY, NodeShard.TYPE);
        harness.open();
        return harness;
    }

    private double[] values(DType type, int count, ModelShard shard) {
        return TestModels.values(
                TestModels.header(SafetensorsHeader.tensor("w", type, count)), shard.bytes());
    }

    private Optional<RegionPool.Place> pool() {
        return Optional.of(new RegionPool.Place("job", temp.toString(), 1L << 28));
    }

    @Test
    void whatIsFiniteAndHasNoFiniteSumOrNoFiniteMeanIsToldBesideItsShard() throws Exception {
        double[] zero = {0, 0};
        for (Optional<RegionPool.Place> pool :
                List.of(Optional.<RegionPool.Place>empty(), pool())) {
            assertThat(
                            mean(
                                            DType.F64,
                                            UpdateKind.WEIGHTS,
                                            zero,
                                            pool,
                                            new Update(1, 1, 1.5e308),
                                            new Update(1, 1, 1.5e308))
                                    .flaw())
                    .startsWith("tensor 'w' would be Infinity at element 1 of the new model");
            assertThat(
                            mean(
                                            DType.F64,
                                            UpdateKind.WEIGHTS,
                                            zero,
                                            pool,
                                            new Update(2, 1.5e308, 1),
                                            new Update(2, -1.5e308, 1))
                                    .flaw())
                    .as("infinity minus infinity")
                    .contains("at element 0");
            assertThat(
                            mean(
                                            DType.F16,
                                            UpdateKind.DELTA,
                                            new double[] {1, 60_000},
                                            pool,
                                            new Update(1, 0, 10_000))
                                    .flaw())
                    .contains("Infinity at element 1")
                    .contains("F16 cannot hold");
            assertThat(
                            mean(
                                            DType.BF16,
                                            UpdateKind.DELTA,
                                            new double[] {3e38, 1},
                                            pool,
                                            new Update(1, 3e38, 0))
                                    .flaw())
                    .contains("Infinity at element 0");
        }
    }

    @Test
    void whatHasAFiniteMeanIsRightOverSharedMemoryToo() throws Exception {
        long many = 1L << 33;
        for (Optional<RegionPool.Place> pool :
                List.of(Optional.<RegionPool.Place>empty(), pool())) {
            ModelShard large =
                    mean(
                            DType.F32,
                            UpdateKind.WEIGHTS,
                            new double[] {0, 0, 0},
                            pool,
                            new Update(many, 3e38, -3e38, 3e38),
                            new Update(many, 3e38, -3e38, -3e38));
            assertThat(large.flaw()).isEmpty();
            assertThat(values(DType.F32, 3, large)).containsExactly(3e38f, -3e38f, 0);
            for (float tiny : new float[] {1.1e-36f, 1e-38f, 1e-40f, Float.MIN_VALUE}) {
                for (long samples : new long[] {1, 7, 1_000_000_000, Long.MAX_VALUE}) {
                    ModelShard small =
                            mean(
                                    DType.F32,
                                    UpdateKind.WEIGHTS,
                                    new double[] {0},
                                    pool,
                                    new Update(samples, tiny));
                    assertThat((float) values(DType.F32, 1, small)[0])
                            .as("%s with %d samples", tiny, samples)
                            .isEqualTo(tiny);
                }
            }
        }
    }

    /** Against a float64 reference, for values of any magnitude, in sums that are handed on. */
    @Property(tries = 60)
    void sumsOverSharedMemoryAreRightAtAnyMagnitude(
            @ForAll @IntRange(min = -140, max = 126) int exponent,
            @ForAll @IntRange(min = 1, max = 40) int updates,
            @ForAll @IntRange(max = 30) int weightBits,
            @ForAll @IntRange(max = 6) int jump,
            @ForAll long seed)
            throws Exception {
        temp = Files.createTempDirectory("magnitude");
        Random random = new Random(seed);
        int elements = 5;
        double[] sum = new double[elements];
        double weight = 0;
        List<Update> all = new ArrayList<>();
        for (int u = 0; u < updates; u++) {
            long samples = 1 + random.nextLong(1L << weightBits);
            // Now and then one of quite another size comes in between.
            int its = random.nextInt(8) == 0 ? Math.min(126, exponent + 10 * jump) : exponent;
            double[] values = new double[elements];
            for (int i = 0; i < elements; i++) {
                values[i] = (float) Math.scalb(random.nextDouble() * 2 - 1, its);
                sum[i] += samples * values[i];
            }
            weight += samples;
            all.add(new Update(samples, values));
        }
        try (RegionPool held = new RegionPool.Place("job", temp.toString(), 1L << 28).open(0)) {
            ModelShard shard =
                    mean(
                            DType.F32,
                            UpdateKind.WEIGHTS,
                            new double[elements],
                            pool(),
                            all.toArray(Update[]::new));
            assertThat(shard.flaw()).isEmpty();
            double[] mean = values(DType.F32, elements, shard);
            for (int i = 0; i < elements; i++) {
                assertThat(mean[i]).isEqualTo((float) (sum[i] / weight));
            }
        } finally {
            delete(temp);
        }
    }

    private static void delete(Path directory) {
        try (Stream<Path> files = Files.walk(directory)) {
            for (Path file : files.sorted(Comparator.reverseOrder()).toList()) {
                Files.delete(file);
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
