// SPDX-License-Identifier: Apache-2.0

package io.tributary.memory.kernel;

import static org.assertj.core.api.Assertions.assertThat;

import io.tributary.protocol.tensor.DType;
import java.math.BigDecimal;
import java.math.BigInteger;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.stream.Stream;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** All kernels that this machine can run, against the formula. */
class FoldKernelTest {

    private static final int MAX_COUNT = 3000;

    /** A column and what its values are. */
    private record Column(Memory memory, long from, long weight, BigDecimal[] values) {}

    @Test
    void theNativeKernelIsThereWhereItMustBe() {
        Assumptions.assumeTrue(
                System.getenv("TRIBUTARY_REQUIRE_BPF") != null,
                "a build without a compiler has none");
        assertThat(FoldKernel.all()).hasSizeGreaterThan(1);
        assertThat(FoldKernel.best().name()).startsWith("C, ");
    }

    /** Any bits that are a finite value; small ones, large ones and the ends of the range. */
    private static Column column(DType type, int count, int unaligned, long weight, Random random) {
        int size = type.bytes();
        Memory memory = new PrivateMemory(unaligned + Math.max(1, count) * size);
        ByteBuffer bytes = memory.slice(unaligned, count * size);
        BigDecimal[] values = new BigDecimal[count];
        for (int i = 0; i < count; i++) {
            int at = i * size;
            do {
                for (int b = 0; b < size; b++) {
                    bytes.put(at + b, (byte) random.nextInt());
                }
                if (type.floating() && size > 2 && random.nextBoolean()) {
                    type.put(bytes, at, random.nextGaussian());
                }
            } while (!Double.isFinite(type.get(bytes, at)));
            values[i] =
                    type.floating()
                            ? new BigDecimal(type.get(bytes, at))
                            : new BigDecimal(type.integer(bytes, at));
        }
        return new Column(memory, unaligned, weight, values);
    }

    private static List<byte[]> folded(DType type, int count, List<List<Column>> passes) {
        List<byte[]> sums = new ArrayList<>();
        for (FoldKernel kernel : FoldKernel.all()) {
            PrivateMemory sum = new PrivateMemory(8 + count * type.sumBytes());
            byte[] before = new byte[8 + count * type.sumBytes()];
            new Random(1).nextBytes(before);
            sum.slice(0, before.length).put(before);
            boolean fresh = true;
            for (List<Column> pass : passes) {
                Columns columns = new Columns();
                pass.forEach(c -> columns.add(c.memory(), c.from(), c.weight()));
                kernel.fold(type, columns, sum, 8, fresh, count);
                fresh = false;
            }
            byte[] bytes = new byte[count * type.sumBytes()];
            sum.slice(8, bytes.length).get(bytes);
            sums.add(bytes);
        }
        return sums;
    }

    /** One pass of up to eight, and one column after another. */
    @Property(tries = 300)
    void allKernelsGiveTheSameBitsHoweverManyColumnsComeTogether(
            @ForAll DType type,
            @ForAll @IntRange(min = 1, max = 8) int columns,
            @ForAll @IntRange(min = 1, max = MAX_COUNT) int count,
            @ForAll @IntRange(max = 7) int unaligned,
            @ForAll @IntRange(max = 40) int weightBits,
            @ForAll long seed) {
        Random random = new Random(seed);
        List<Column> all = new ArrayList<>();
        for (int c = 0; c < columns; c++) {
            all.add(column(type, count, unaligned, 1 + random.nextLong(1L << weightBits), random));
        }
        List<byte[]> together = folded(type, count, List.of(all));
        List<byte[]> alone = folded(type, count, all.stream().map(List::of).toList());
        byte[] first = together.get(0);
        assertThat(Stream.concat(together.stream(), alone.stream()))
                .allSatisfy(sum -> assertThat(sum).isEqualTo(first));
        for (int i = 0; i < count; i++) {
            requireRight(type, ByteBuffer.wrap(first), i, all);
        }
    }

    /** Integers exactly, floats up to the rounding of their products and sums. */
    private static void requireRight(DType type, ByteBuffer sum, int i, List<Column> columns) {
        BigDecimal expected = BigDecimal.ZERO;
        BigDecimal magnitude = BigDecimal.ZERO;
        for (Column column : columns) {
            BigDecimal product = column.values()[i].multiply(BigDecimal.valueOf(column.weight()));
            expected = expected.add(product);
            magnitude = magnitude.add(product.abs());
        }
        ByteBuffer bytes = sum.order(ByteOrder.LITTLE_ENDIAN);
        if (!type.floating()) {
            BigInteger found =
                    BigInteger.valueOf(bytes.getLong(16 * i + 8))
                            .shiftLeft(64)
                            .add(new BigInteger(Long.toUnsignedString(bytes.getLong(16 * i))));
            assertThat(found).isEqualTo(expected.toBigInteger());
            return;
        }
        double found = bytes.getDouble(8 * i);
        if (magnitude.doubleValue() > Double.MAX_VALUE / 4) {
            return;
        }
        double allowed = columns.size() * 2 * Math.ulp(magnitude.doubleValue());
        assertThat(new BigDecimal(found).subtract(expected).abs().doubleValue())
                .isLessThanOrEqualTo(allowed);
    }

    static Stream<DType> floats() {
        return Arrays.stream(DType.values()).filter(DType::floating);
    }

    static Stream<DType> integers() {
        return Arrays.stream(DType.values()).filter(type -> !type.floating());
    }

    static Stream<DType> small() {
        return Arrays.stream(DType.values()).filter(type -> type.bytes() <= 2);
    }

    @ParameterizedTest
    @MethodSource("integers")
    void integersAreFiniteWhateverTheirBits(DType type) {
        int count = 1500;
        PrivateMemory memory = new PrivateMemory(count * type.bytes());
        byte[] ones = new byte[count * type.bytes()];
        Arrays.fill(ones, (byte) 0xFF);
        memory.slice(0, ones.length).put(ones);
        for (FoldKernel kernel : FoldKernel.all()) {
            assertThat(kernel.finite(type, memory, 0, count)).as(kernel.name()).isTrue();
        }
    }

    @ParameterizedTest
    @MethodSource("floats")
    void whatIsNotFiniteIsSeenWhereverItIs(DType type) {
        int count = 1500;
        for (FoldKernel kernel : FoldKernel.all()) {
            for (double bad : new double[] {Double.NaN, Double.POSITIVE_INFINITY, -1 / 0.0}) {
                for (int at : new int[] {0, 1, 511, 512, 1023, 1024, 1499}) {
                    PrivateMemory good = new PrivateMemory(count * type.bytes());
                    good.clear();
                    PrivateMemory flawed = new PrivateMemory(count * type.bytes());
                    flawed.clear();
                    assertThat(kernel.finite(type, flawed, 0, count)).isTrue();
                    type.put(flawed.slice(0, count * type.bytes()), at * type.bytes(), bad);
                    assertThat(kernel.finite(type, flawed, 0, count)).isFalse();
                    PrivateMemory sum = new PrivateMemory(count * Double.BYTES);
                    sum.clear();
                    Columns columns = new Columns();
                    columns.add(good, 0, 3);
                    assertThat(kernel.fold(type, columns, sum, 0, false, count)).isTrue();
                    columns.add(flawed, 0, 5);
                    columns.add(good, 0, 7);
                    assertThat(kernel.fold(type, columns, sum, 0, false, count))
                            .as("%s, %s at %d by %s", type, bad, at, kernel.name())
                            .isFalse();
                }
            }
        }
    }

    /** Every value of a small format, by the codec that is written from its definition. */
    @ParameterizedTest
    @MethodSource("small")
    void everyValueIsReadAsItsCodecReadsIt(DType type) {
        int count = 1 << 8 * type.bytes();
        PrivateMemory all = new PrivateMemory(count * type.bytes());
        ByteBuffer bytes = all.slice(0, count * type.bytes());
        for (int i = 0; i < count; i++) {
            bytes.put(i * type.bytes(), (byte) i);
            if (type.bytes() == 2) {
                bytes.put(i * 2 + 1, (byte) (i >> 8));
            }
        }
        for (FoldKernel kernel : FoldKernel.all()) {
            PrivateMemory sum = new PrivateMemory(count * type.sumBytes());
            sum.clear();
            Columns columns = new Columns();
            columns.add(all, 0, 1);
            kernel.fold(type, columns, sum, 0, false, count);
            ByteBuffer sums = sum.slice(0, count * type.sumBytes());
            for (int i = 0; i < count; i++) {
                double expected = type.get(bytes, i * type.bytes());
                double found =
                        type.floating()
                                ? sums.getDouble(i * Double.BYTES)
                                : sums.getLong(i * type.sumBytes());
                if (Double.isFinite(expected)) {
                    assertThat(found).as("%s by %s", i, kernel.name()).isEqualTo(expected);
                } else {
                    assertThat(found).matches(f -> !Double.isFinite(f));
                }
            }
        }
    }

    @Property(tries = 100)
    void sumsOfBothKindsAreAddedAlike(
            @ForAll @IntRange(min = 1, max = MAX_COUNT) int count, @ForAll long seed) {
        Random random = new Random(seed);
        for (DType type : new DType[] {DType.F32, DType.I64}) {
            PrivateMemory more = new PrivateMemory(count * type.sumBytes());
            byte[] start = new byte[count * type.sumBytes()];
            random.nextBytes(start);
            for (int i = 0; i < count * type.sumBytes() / 8; i++) {
                double value = random.nextGaussian();
                more.slice(8L * i, 8)
                        .putLong(
                                0,
                                type.floating()
                                        ? Double.doubleToRawLongBits(value)
                                        : random.nextLong());
                if (type.floating()) {
                    ByteBuffer.wrap(start)
                            .order(ByteOrder.LITTLE_ENDIAN)
                            .putDouble(8 * i, random.nextGaussian());
                }
            }
            List<byte[]> sums = new ArrayList<>();
            for (FoldKernel kernel : FoldKernel.all()) {
                PrivateMemory sum = new PrivateMemory(start.length);
                sum.slice(0, start.length).put(start);
                kernel.add(type, more, sum, 0, count);
                byte[] bytes = new byte[start.length];
                sum.slice(0, bytes.length).get(bytes);
                sums.add(bytes);
            }
            assertThat(sums).allSatisfy(sum -> assertThat(sum).isEqualTo(sums.get(0)));
            assertThat(sums.get(0)).isNotEqualTo(start);
        }
    }

    /** In place, over the first half of the sums, with what the model was and without. */
    @Property(tries = 200)
    void meansAreRoundedOnceByAllKernels(
            @ForAll @IntRange(min = 1, max = MAX_COUNT) int count,
            @ForAll boolean delta,
            @ForAll @IntRange(max = 3) int ahead,
            @ForAll long seed) {
        Random random = new Random(seed);
        double weight = 1 + random.nextInt(1000);
        PrivateMemory base = new PrivateMemory(count * Float.BYTES);
        double[] sums = new double[count];
        for (int i = 0; i < count; i++) {
            sums[i] = random.nextGaussian() * 1e3;
            base.slice(4L * i, 4).putFloat(0, (float) random.nextGaussian());
        }
        for (FoldKernel kernel : FoldKernel.all()) {
            PrivateMemory sum = new PrivateMemory(8 * (ahead + count));
            for (int i = 0; i < count; i++) {
                sum.slice(8L * (ahead + i), 8).putDouble(0, sums[i]);
            }
            boolean finite =
                    kernel.mean(
                            new ModelRun(
                                    sum,
                                    8L * ahead,
                                    weight,
                                    delta ? base : null,
                                    0,
                                    4L * ahead,
                                    count));
            assertThat(finite).isTrue();
            for (int i = 0; i < count; i++) {
                double mean = sums[i] / weight;
                float expected = (float) (delta ? mean + base.slice(4L * i, 4).getFloat(0) : mean);
                assertThat(sum.slice(4L * (ahead + i), 4).getFloat(0)).isEqualTo(expected);
            }
        }
    }

    @Test
    void aMeanThatFloat32CannotHoldIsSeen() {
        int count = 700;
        for (FoldKernel kernel : FoldKernel.all()) {
            for (double bad : new double[] {3.5e38, -3.5e38, Double.NaN}) {
                PrivateMemory sum = new PrivateMemory(8 * count);
                sum.clear();
                sum.slice(8 * 650, 8).putDouble(0, bad);
                assertThat(kernel.mean(new ModelRun(sum, 0, 1, null, 0, 0, count))).isFalse();
            }
        }
    }

    /** In place, over the first half of the sums. */
    @Property(tries = 200)
    void adaptiveStepsAreTheFormulaInAllKernels(
            @ForAll @IntRange(min = 1, max = MAX_COUNT) int count,
            @ForAll boolean yogi,
            @ForAll boolean less,
            @ForAll @IntRange(max = 3) int ahead,
            @ForAll long seed) {
        Random random = new Random(seed);
        AdaptiveStep step =
                new AdaptiveStep(
                        random.nextDouble(),
                        random.nextDouble(),
                        random.nextDouble(),
                        yogi,
                        random.nextDouble(),
                        1 + random.nextDouble(),
                        1e-3);
        double weight = 1 + random.nextInt(1000);
        double[] sums = random.doubles(count, -1e3, 1e3).toArray();
        double[] m = random.doubles(count, -1, 1).toArray();
        double[] v = random.doubles(count, 0, 1).toArray();
        PrivateMemory base = new PrivateMemory(count * Float.BYTES);
        double[] w = new double[count];
        double[] changes = new double[count];
        for (int i = 0; i < count; i++) {
            w[i] = (float) random.nextGaussian();
            base.slice(4L * i, 4).putFloat(0, (float) w[i]);
            changes[i] = sums[i] * (1 / weight) - (less ? w[i] : 0);
        }
        double[] itsM = m.clone();
        double[] itsV = v.clone();
        step.apply(w, changes, itsM, itsV, count);
        for (FoldKernel kernel : FoldKernel.all()) {
            PrivateMemory sum = new PrivateMemory(8 * (ahead + count));
            PrivateMemory moments = new PrivateMemory(16 * count);
            sum.slice(8L * ahead, 8 * count).asDoubleBuffer().put(sums);
            moments.slice(0, 16 * count).asDoubleBuffer().put(m).put(v);
            ModelRun run = new ModelRun(sum, 8L * ahead, weight, base, 0, 4L * ahead, count);
            assertThat(kernel.adapt(step, run, less, moments)).isTrue();
            for (int i = 0; i < count; i++) {
                assertThat(sum.slice(4L * (ahead + i), 4).getFloat(0)).isEqualTo((float) w[i]);
                assertThat(moments.slice(8L * i, 8).getDouble(0)).isEqualTo(itsM[i]);
                assertThat(moments.slice(8L * (count + i), 8).getDouble(0)).isEqualTo(itsV[i]);
            }
        }
    }

    /** An infinite v would leave the element alone, and a finite model would not show it. */
    @Test
    void anAdaptiveStepWhoseMomentsAreNotFiniteIsSeen() {
        int count = 700;
        AdaptiveStep step = new AdaptiveStep(0.9, 0.99, 0.01, false, 0.1, 1, 1e-3);
        PrivateMemory base = new PrivateMemory(count * Float.BYTES);
        base.clear();
        for (FoldKernel kernel : FoldKernel.all()) {
            for (double bad : new double[] {1e200, -1e200, Double.NaN, 1e308 * 10}) {
                PrivateMemory sum = new PrivateMemory(8 * count);
                PrivateMemory moments = new PrivateMemory(16 * count);
                sum.clear();
                moments.clear();
                sum.slice(8 * 650, 8).putDouble(0, bad);
                ModelRun run = new ModelRun(sum, 0, 1, base, 0, 0, count);
                assertThat(kernel.adapt(step, run, true, moments)).isFalse();
            }
        }
    }
}
