// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.aggregate;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;
import static org.junit.jupiter.params.provider.Arguments.arguments;

import io.tributary.operators.model.ModelShard;
import io.tributary.operators.model.Quarantine;
import io.tributary.operators.optimizer.Algorithm;
import io.tributary.operators.rule.EqualMean;
import io.tributary.operators.testutils.TestModels;
import io.tributary.protocol.RejectReason;
import io.tributary.protocol.RejectedException;
import io.tributary.protocol.message.UpdateKind;
import io.tributary.protocol.tensor.DType;
import io.tributary.protocol.tensor.SafetensorsHeader;
import io.tributary.protocol.tensor.TensorSets;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.apache.flink.runtime.checkpoint.OperatorSubtaskState;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Each algorithm is compared with its formula, and given what it cannot take. */
class ServerOptimizersTest extends OptimizerRounds {

    static Stream<Arguments> formulas() {
        return OptimizerFormula.all().stream()
                .flatMap(f -> Arrays.stream(UpdateKind.values()).map(kind -> arguments(f, kind)));
    }

    @ParameterizedTest
    @MethodSource("formulas")
    void eachOptimizerIsItsFormula(OptimizerFormula formula, UpdateKind kind) throws Exception {
        use(floats(), kind, formula.algorithm());
        double[][] slots = new double[14][formula.slots()];
        int[] steps = {0};
        requireRounds(
                (model, updates, taken) -> {
                    double[] change = change(updates, model, weights());
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
    void scaffoldTakesTheControlVariatesInProportionToThoseWhoSent(UpdateKind kind)
            throws Exception {
        use(
                TensorSets.with(
                        TestModels.header(SafetensorsHeader.tensor("a", DType.F32, 6)),
                        List.of("control")),
                kind,
                Algorithm.named(
                        "scaffold",
                        Map.of(
                                "learning-rate", "0.5",
                                "schedule", "step",
                                "schedule-rounds", "2",
                                "schedule-factor", "0.5")));
        int[] steps = {0};
        requireRounds(
                (model, updates, taken) -> {
                    double[] change = change(updates, model, new double[] {1, 1, 1});
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

    /** Trainers send how far they have gone in all, and the server has only to take means. */
    @ParameterizedTest
    @EnumSource
    void flamesFedDynTakesEqualMeansOfWeightsAndHistories(UpdateKind kind) throws Exception {
        use(
                TensorSets.with(
                        TestModels.header(SafetensorsHeader.tensor("a", DType.F32, 6)),
                        List.of("history")),
                kind,
                Algorithm.named("feddyn", Map.of("flavor", "flame")));
        requireRounds(
                (model, updates, taken) -> {
                    double[] change = change(updates, model, new double[] {1, 1, 1});
                    double[] next = model.clone();
                    for (int i = 0; i < next.length; i++) {
                        next[i] += change[i];
                    }
                    return next;
                });
    }

    private double[] weights() {
        // FedDyn's are equal.
        double[] weights = new double[WEIGHTS.length];
        for (int which = 0; which < weights.length; which++) {
            weights[which] = algorithm.rule() instanceof EqualMean ? 1 : WEIGHTS[which];
        }
        return weights;
    }

    /**
     * Wang et al., NeurIPS 2020: the mean of what changed in each step, times the mean of steps.
     */
    @ParameterizedTest
    @EnumSource
    void fedNovaNormalizesByTheLocalSteps(UpdateKind kind) throws Exception {
        use(floats(), kind, Algorithm.named("fednova", Map.of("learning-rate", "0.8")));
        requireRounds(
                (model, updates, taken) -> {
                    double samples = Arrays.stream(WEIGHTS).sum();
                    double[] next = model.clone();
                    for (int i = 0; i < next.length; i++) {
                        double steps = 0;
                        double normalized = 0;
                        for (int k = 0; k < WEIGHTS.length; k++) {
                            double p = WEIGHTS[k] / samples;
                            double change =
                                    updates.get(k)[i] - (kind == UpdateKind.DELTA ? 0 : model[i]);
                            steps += p * steps(k);
                            normalized += p * change / steps(k);
                        }
                        next[i] += 0.8 * steps * normalized;
                    }
                    return next;
                });
    }

    /** Li et al., ICLR 2020, algorithm 2. */
    @ParameterizedTest
    @CsvSource({"0.1, WEIGHTS", "0.1, DELTA", "0, WEIGHTS", "2, DELTA", "1, WEIGHTS"})
    void qFedAvgWeighsByTheLoss(double q, UpdateKind kind) throws Exception {
        use(
                floats(),
                kind,
                Algorithm.named(
                        "qfedavg",
                        Map.of("q", Double.toString(q), "client-learning-rate", "0.05")));
        double lipschitz = 1 / 0.05;
        requireRounds(
                (model, updates, taken) -> {
                    double[] next = model.clone();
                    double sumOfH = 0;
                    double[] sum = new double[next.length];
                    for (int k = 0; k < WEIGHTS.length; k++) {
                        double loss = loss(k) + 1e-10;
                        double norm = 0;
                        for (int i = 0; i < next.length; i++) {
                            double went =
                                    lipschitz
                                            * (kind == UpdateKind.DELTA
                                                    ? -updates.get(k)[i]
                                                    : model[i] - updates.get(k)[i]);
                            norm += went * went;
                            sum[i] += Math.pow(loss, q) * went;
                        }
                        sumOfH += q * Math.pow(loss, q - 1) * norm + lipschitz * Math.pow(loss, q);
                    }
                    for (int i = 0; i < next.length; i++) {
                        next[i] -= sum[i] / sumOfH;
                    }
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
