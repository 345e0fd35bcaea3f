// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.aggregate;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;
import static org.junit.jupiter.params.provider.Arguments.arguments;

import io.tributary.node.PayloadStore;
import io.tributary.operators.aggregate.AggregatorInput.CloseNode;
import io.tributary.operators.aggregate.AggregatorInput.FoldUpdate;
import io.tributary.operators.aggregate.AggregatorInput.RoundEnd;
import io.tributary.operators.clock.Clock;
import io.tributary.operators.model.ModelShard;
import io.tributary.operators.model.ModelSpec;
import io.tributary.operators.model.PosixModelStore;
import io.tributary.operators.model.Quarantine;
import io.tributary.operators.optimizer.Algorithm;
import io.tributary.operators.testutils.TestModels;
import io.tributary.protocol.RejectReason;
import io.tributary.protocol.RejectedException;
import io.tributary.protocol.message.RoundId;
import io.tributary.protocol.message.UpdateKind;
import io.tributary.protocol.tensor.DType;
import io.tributary.protocol.tensor.ModelLayout;
import io.tributary.protocol.tensor.SafetensorsHeader;
import io.tributary.protocol.tensor.TensorInfo;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.function.DoubleSupplier;
import java.util.stream.Stream;
import org.apache.flink.runtime.checkpoint.OperatorSubtaskState;
import org.apache.flink.streaming.util.KeyedOneInputStreamOperatorTestHarness;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Several rounds at the top, each compared with the formula in float64. One round is rejected, and
 * the operator is restored while another is open.
 */
class ServerOptimizersTest {

    private static final long[] WEIGHTS = {2, 5, 11};
    private static final int TRAINERS = 8;
    private static final int ROUNDS = 20;
    private static final int REJECTED = 2;
    private static final int RESTORED = 4;

    @TempDir Path temp;

    private SafetensorsHeader header;
    private UpdateKind kind;
    private Algorithm algorithm;
    private PosixModelStore models;
    private Path initial;
    private int shardElements = 4;

    @BeforeEach
    void makeDirectory() throws IOException {
        models = PosixModelStore.at(temp.resolve("models"));
        Files.createDirectories(temp.resolve("models/versions"));
    }

    private void use(SafetensorsHeader itsHeader, UpdateKind itsKind, Algorithm its) {
        header = itsHeader;
        kind = itsKind;
        algorithm = its;
        initial = TestModels.write(temp.resolve("initial"), header, small(1));
    }

    private static DoubleSupplier small(long seed) {
        Random random = new Random(seed);
        return () -> 4 * random.nextGaussian();
    }

    private ModelSpec spec() {
        return TestModels.spec(initial, shardElements, kind);
    }

    private KeyedOneInputStreamOperatorTestHarness<NodeShard, AggregatorInput, ModelShard> top(
            OperatorSubtaskState... restored) throws Exception {
        var harness =
                new KeyedOneInputStreamOperatorTestHarness<>(
                        new TopOperator(
                                spec(),
                                models,
                                PayloadStore.Place.NONE,
                                Optional.empty(),
                                algorithm,
                                Clock.SYSTEM),
                        AggregatorOperator.KEY,
                        NodeShard.TYPE);
        harness.setup();
        for (OperatorSubtaskState state : restored) {
            harness.initializeState(state);
        }
        harness.open();
        return harness;
    }

    private Path update(int round, int which) {
        return temp.resolve("update-%d-%d".formatted(round, which));
    }

    private Path base(int round) {
        return round == 1 ? initial : models.version(new RoundId(round - 1, 0));
    }

    /** Values of the updates of a round, and the files that hold them. */
    private List<double[]> write(int round) {
        List<double[]> values = new ArrayList<>();
        for (int which = 0; which < WEIGHTS.length; which++) {
            TestModels.write(update(round, which), header, small(100 * round + which));
            values.add(TestModels.values(update(round, which)));
        }
        return values;
    }

    private void send(
            KeyedOneInputStreamOperatorTestHarness<NodeShard, AggregatorInput, ModelShard> top,
            int round)
            throws Exception {
        for (int shard = 0; shard < spec().layout().shards(); shard++) {
            for (int which = 0; which < WEIGHTS.length; which++) {
                top.processElement(
                        new FoldUpdate(
                                "top@*",
                                shard,
                                new RoundId(round, 0),
                                TestModels.payload(update(round, which)),
                                WEIGHTS[which],
                                "t-" + which,
                                true),
                        0);
            }
        }
    }

    private void close(
            KeyedOneInputStreamOperatorTestHarness<NodeShard, AggregatorInput, ModelShard> top,
            int round)
            throws Exception {
        for (int shard = 0; shard < spec().layout().shards(); shard++) {
            top.processElement(
                    new CloseNode(
                            "top@*",
                            shard,
                            new RoundId(round, 0),
                            "",
                            WEIGHTS.length,
                            new RoundEnd(
                                    new RoundId(round, 0),
                                    new RoundId(round - 1, 0),
                                    WEIGHTS.length,
                                    TRAINERS,
                                    0)),
                    0);
        }
    }

    /** The elements of the model that has come out. */
    private double[] publish(List<ModelShard> shards, int round) throws IOException {
        ModelLayout layout = spec().layout();
        byte[] data = new byte[(int) (header.fileLength() - header.dataOffset())];
        for (ModelShard shard : shards) {
            int at = (int) (layout.fileOffset(shard.shard()) - header.dataOffset());
            System.arraycopy(shard.bytes(), 0, data, at, layout.shardBytes(shard.shard()));
        }
        Path file = models.version(new RoundId(round, 0));
        if (round == REJECTED) {
            Files.writeString(
                    file.resolveSibling(new RoundId(round, 0) + ".rejected"), "not finite\n");
            Files.copy(base(round), file);
        } else {
            ByteBuffer whole = ByteBuffer.allocate((int) header.fileLength());
            Files.write(file, whole.put(header.bytes()).put(data).array());
        }
        return TestModels.values(header, data);
    }

    /** What a formula says of the new elements. */
    @FunctionalInterface
    private interface Reference {
        double[] step(double[] model, double[] change, boolean taken);
    }

    private void requireRounds(Reference reference) throws Exception {
        var top = top();
        try {
            for (int round = 1; round <= ROUNDS; round++) {
                double[] model = TestModels.values(base(round));
                double[] change = change(write(round), model);
                send(top, round);
                if (round == RESTORED) {
                    OperatorSubtaskState snapshot = top.snapshot(1, 1);
                    top.close();
                    top = top(snapshot);
                }
                int before = top.extractOutputValues().size();
                close(top, round);
                List<ModelShard> all = top.extractOutputValues();
                double[] found = publish(all.subList(before, all.size()), round);
                double[] expected =
                        TestModels.rounded(
                                header, reference.step(model, change, round != REJECTED));
                double largest = Arrays.stream(expected).map(Math::abs).max().orElseThrow();
                assertThat(found)
                        .as("round %d", round)
                        .containsExactly(expected, within(1e-6 * largest));
            }
        } finally {
            top.close();
        }
    }

    /** The weighted mean of what changed, in float64. */
    private double[] change(List<double[]> updates, double[] model) {
        double[] change = new double[model.length];
        double weight = Arrays.stream(WEIGHTS).sum();
        for (int i = 0; i < change.length; i++) {
            double sum = 0;
            for (int which = 0; which < WEIGHTS.length; which++) {
                sum += WEIGHTS[which] * updates.get(which)[i];
            }
            change[i] = sum / weight - (kind == UpdateKind.WEIGHTS ? model[i] : 0);
        }
        return change;
    }

    private static SafetensorsHeader floats() {
        return TestModels.header(
                SafetensorsHeader.tensor("a", DType.F32, 7),
                SafetensorsHeader.tensor("b", DType.BF16, 5),
                SafetensorsHeader.tensor("c", DType.F64, 2));
    }

    static Stream<Arguments> formulas() {
        return OptimizerFormula.all().stream()
                .flatMap(f -> Arrays.stream(UpdateKind.values()).map(kind -> arguments(f, kind)));
    }

    @ParameterizedTest
    @MethodSource("formulas")
    void eachOptimizerIsItsFormula(OptimizerFormula formula, UpdateKind updates) throws Exception {
        use(floats(), updates, formula.algorithm());
        double[][] slots = new double[14][formula.slots()];
        int[] steps = {0};
        requireRounds(
                (model, change, taken) -> {
                    double[] next = new double[model.length];
                    for (int i = 0; i < next.length; i++) {
                        double[] its = slots[i].clone();
                        next[i] = formula.step().next(steps[0], model[i], change[i], its);
                        if (taken) {
                            slots[i] = its;
                        }
                    }
                    steps[0] += taken ? 1 : 0;
                    return next;
                });
    }

    @ParameterizedTest
    @EnumSource
    void scaffoldTakesTheControlVariatesInProportionToThoseWhoSent(UpdateKind updates)
            throws Exception {
        use(
                TestModels.header(
                        SafetensorsHeader.tensor("a", DType.F32, 6),
                        SafetensorsHeader.tensor("control/a", DType.F32, 6)),
                updates,
                Algorithm.named(
                        "scaffold",
                        Map.of(
                                "learning-rate", "0.5",
                                "schedule", "step",
                                "schedule-rounds", "2",
                                "schedule-factor", "0.5")));
        int[] steps = {0};
        requireRounds(
                (model, change, taken) -> {
                    double[] next = new double[model.length];
                    double eta = 0.5 * Math.pow(0.5, Math.floor(steps[0] / 2.0));
                    for (int i = 0; i < next.length; i++) {
                        double rate = i < 6 ? eta : (double) WEIGHTS.length / TRAINERS;
                        next[i] = model[i] + rate * change[i];
                    }
                    steps[0] += taken ? 1 : 0;
                    return next;
                });
    }

    @ParameterizedTest
    @EnumSource
    void theMedianIsThatOfEachElement(UpdateKind updates) throws Exception {
        use(
                TestModels.header(
                        SafetensorsHeader.tensor("a", DType.F32, 9),
                        SafetensorsHeader.tensor("n", DType.I64, 3),
                        SafetensorsHeader.tensor("u", DType.U8, 2)),
                updates,
                Algorithm.named("median", Map.of()));
        try (var top = top()) {
            double[] model = TestModels.values(base(1));
            List<double[]> values = write(1);
            send(top, 1);
            assertThat(top.extractOutputValues()).isEmpty();
            close(top, 1);
            double[] expected = new double[model.length];
            for (int i = 0; i < expected.length; i++) {
                int element = i;
                expected[i] =
                        values.stream()
                                        .mapToDouble(u -> u[element])
                                        .sorted()
                                        .skip(1)
                                        .findFirst()
                                        .getAsDouble()
                                + (updates == UpdateKind.DELTA ? model[i] : 0);
            }
            assertThat(publish(top.extractOutputValues(), 1))
                    .containsExactly(TestModels.rounded(header, expected));
        }
    }

    /** A writer that promised finite values and has others is named, and nothing leaves. */
    @Test
    void aGatheredUpdateThatIsNotFiniteIsNamed() throws Exception {
        use(
                TestModels.header(SafetensorsHeader.tensor("a", DType.F32, 3)),
                UpdateKind.WEIGHTS,
                Algorithm.named("median", Map.of()));
        write(1);
        TestModels.write(update(1, 1), header, () -> Double.NaN);
        try (var top = top()) {
            send(top, 1);
            assertThatThrownBy(() -> close(top, 1))
                    .isInstanceOfSatisfying(
                            RejectedException.class,
                            e -> assertThat(e.reason()).isEqualTo(RejectReason.NOT_FINITE));
            assertThat(top.extractOutputValues()).isEmpty();
        }
        assertThat(new Quarantine(models).read()).containsOnlyKeys("t-1");
    }

    @Test
    void integersBecomeTheirMeanWhateverTheOptimizer() throws Exception {
        use(
                TestModels.header(
                        SafetensorsHeader.tensor("n", DType.I32, 5),
                        SafetensorsHeader.tensor("a", DType.F32, 2)),
                UpdateKind.WEIGHTS,
                Algorithm.named("fedadam", Map.of()));
        try (var top = top()) {
            double[] model = TestModels.values(base(1));
            double[] change = change(write(1), model);
            send(top, 1);
            close(top, 1);
            double[] found = publish(top.extractOutputValues(), 1);
            int firstInteger = header.tensors().get(0).dtype() == DType.I32 ? 0 : 2;
            for (int i = firstInteger; i < firstInteger + 5; i++) {
                assertThat(found[i]).isEqualTo(Math.rint(model[i] + change[i]));
            }
        }
    }

    @Test
    void scaffoldSaysWhichControlVariateAModelLacks() {
        List<TensorInfo> tensors = floats().tensors();
        assertThatThrownBy(() -> Algorithm.named("scaffold", Map.of()).optimizer().check(tensors))
                .hasMessage(
                        "tensor 'a' of the model has no control variate; add a floating tensor 'control/a' of shape [7], all zero");
    }

    /** One value would stop an element for ever, and the model would look well. */
    @Test
    void aRoundThatWouldMakeASlotInfiniteIsFlawed() throws Exception {
        use(
                TestModels.header(SafetensorsHeader.tensor("a", DType.F64, 3)),
                UpdateKind.DELTA,
                Algorithm.named("fedadam", Map.of()));
        write(1);
        TestModels.write(update(1, 1), header, () -> 1e160);
        try (var top = top()) {
            send(top, 1);
            close(top, 1);
            assertThat(top.extractOutputValues())
                    .singleElement()
                    .extracting(ModelShard::flaw)
                    .asString()
                    .startsWith("tensor 'a': the optimizer's slot 'v' would not be finite");
        }
    }

    @Test
    void slotsOfShardsOfAnotherSizeAreNotTaken() throws Exception {
        use(floats(), UpdateKind.DELTA, Algorithm.named("fedadam", Map.of()));
        OperatorSubtaskState snapshot;
        try (var top = top()) {
            write(1);
            send(top, 1);
            close(top, 1);
            publish(top.extractOutputValues(), 1);
            snapshot = top.snapshot(1, 1);
        }
        shardElements = 2;
        try (var top = top(snapshot)) {
            write(2);
            send(top, 2);
            assertThatThrownBy(() -> close(top, 2))
                    .hasRootCauseMessage(
                            "the optimizer's memory has 4 elements for a shard that has 2 now; resume with the model.shard-elements of before");
        }
    }

    /** Steps that another algorithm has counted are not its own. */
    @Test
    void anOptimizerBeginsAnewAfterOneThatKeptNoSlots() throws Exception {
        Algorithm scheduled =
                Algorithm.named("fedavg", Map.of("schedule", "cosine", "learning-rate", "0.5"));
        use(floats(), UpdateKind.DELTA, scheduled);
        OperatorSubtaskState snapshot;
        try (var top = top()) {
            write(1);
            send(top, 1);
            close(top, 1);
            publish(top.extractOutputValues(), 1);
            snapshot = top.snapshot(1, 1);
        }
        algorithm = Algorithm.named("fedadam", Map.of("flavor", "flame"));
        try (var top = top(snapshot)) {
            double[] model = TestModels.values(base(2));
            double[] change = change(write(2), model);
            send(top, 2);
            close(top, 2);
            for (int i = 0; i < model.length; i++) {
                model[i] += change[i];
            }
            assertThat(publish(top.extractOutputValues(), REJECTED + 1))
                    .as("Flame's first step takes the mean")
                    .containsExactly(TestModels.rounded(header, model), within(1e-6));
        }
    }

    /** What one algorithm remembers means nothing to another. */
    @ParameterizedTest
    @ValueSource(strings = {"fedavg", "fedavgm", "fedadagrad", "feddyn"})
    void aSavepointOfAnotherAlgorithmIsNotTaken(String other) throws Exception {
        use(floats(), UpdateKind.DELTA, Algorithm.named("fedadam", Map.of()));
        OperatorSubtaskState snapshot;
        try (var top = top()) {
            write(1);
            send(top, 1);
            close(top, 1);
            publish(top.extractOutputValues(), 1);
            snapshot = top.snapshot(1, 1);
        }
        algorithm = Algorithm.named(other, Map.of());
        try (var top = top(snapshot)) {
            write(2);
            send(top, 2);
            assertThatThrownBy(() -> close(top, 2))
                    .hasRootCauseMessage(
                            "the savepoint is of an algorithm that remembers [m, v], and this job's remembers %s; resume with the algorithm of before, or submit a new job whose model.initial is the newest model"
                                    .formatted(algorithm.optimizer().slots()));
        }
        algorithm = Algorithm.named("fedyogi", Map.of());
        try (var top = top(snapshot)) {
            write(2);
            send(top, 2);
            close(top, 2);
            assertThat(top.extractOutputValues()).as("its v is the same").isNotEmpty();
        }
    }

    /** However many updates there are, a run of their elements takes no more memory. */
    @Test
    void aRunIsShorterWhereThereAreMoreUpdates() {
        assertThat(new GatheredRun(new long[24]).most()).isEqualTo(8192);
        assertThat(new GatheredRun(new long[10_000]).most()).isEqualTo(104);
        assertThat(new GatheredRun(new long[2_000_000]).most()).isEqualTo(1);
    }
}
