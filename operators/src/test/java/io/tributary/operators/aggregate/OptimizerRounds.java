// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.aggregate;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.tributary.node.PayloadStore;
import io.tributary.operators.aggregate.AggregatorInput.CloseNode;
import io.tributary.operators.aggregate.AggregatorInput.FoldUpdate;
import io.tributary.operators.aggregate.AggregatorInput.RoundEnd;
import io.tributary.operators.clock.Clock;
import io.tributary.operators.model.ModelShard;
import io.tributary.operators.model.ModelSpec;
import io.tributary.operators.model.PosixModelStore;
import io.tributary.operators.optimizer.Algorithm;
import io.tributary.operators.rule.AggregationRule;
import io.tributary.operators.testutils.TestModels;
import io.tributary.protocol.message.Claim;
import io.tributary.protocol.message.RoundId;
import io.tributary.protocol.message.UpdateKind;
import io.tributary.protocol.tensor.DType;
import io.tributary.protocol.tensor.ModelLayout;
import io.tributary.protocol.tensor.SafetensorsHeader;
import io.tributary.protocol.tensor.UpdateTensors;
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
import java.util.TreeMap;
import java.util.function.DoubleSupplier;
import org.apache.flink.runtime.checkpoint.OperatorSubtaskState;
import org.apache.flink.streaming.util.KeyedOneInputStreamOperatorTestHarness;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.io.TempDir;

/**
 * Several rounds at the top, each compared with the formula in float64. One round is rejected, and
 * the operator is restored while another is open.
 */
abstract class OptimizerRounds {

    static final long[] WEIGHTS = {2, 5, 11};
    static final int TRAINERS = 8;
    static final int ROUNDS = 20;
    static final int REJECTED = 2;
    static final int RESTORED = 4;

    @TempDir Path temp;

    SafetensorsHeader header;
    UpdateKind kind;
    Algorithm algorithm;
    PosixModelStore models;
    Path initial;
    int shardElements = 4;
    UpdateTensors updates = UpdateTensors.ALL;

    @BeforeEach
    void makeDirectory() throws IOException {
        models = PosixModelStore.at(temp.resolve("models"));
        Files.createDirectories(temp.resolve("models/versions"));
    }

    void use(SafetensorsHeader itsHeader, UpdateKind itsKind, Algorithm its) {
        header = itsHeader;
        kind = itsKind;
        algorithm = its;
        initial = TestModels.write(temp.resolve("initial"), header, small(1));
    }

    static DoubleSupplier small(long seed) {
        Random random = new Random(seed);
        return () -> 4 * random.nextGaussian();
    }

    ModelSpec spec() {
        return new ModelSpec(
                initial.toString(), shardElements, kind, algorithm.optimizer().sets(), updates);
    }

    KeyedOneInputStreamOperatorTestHarness<NodeShard, AggregatorInput, ModelShard> top(
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

    Path update(int round, int which) {
        return temp.resolve("update-%d-%d".formatted(round, which));
    }

    Path base(int round) {
        return round == 1 ? initial : models.version(new RoundId(round - 1, 0));
    }

    /** Values of the updates of a round, and the files that hold them. */
    List<double[]> write(int round) {
        List<double[]> values = new ArrayList<>();
        for (int which = 0; which < WEIGHTS.length; which++) {
            TestModels.write(update(round, which), header, small(100 * round + which));
            values.add(TestModels.values(update(round, which)));
        }
        return values;
    }

    void send(
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
                                weight(round, which),
                                WEIGHTS[which],
                                "t-" + which,
                                true),
                        0);
            }
        }
    }

    void close(
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
                                    totals(round),
                                    0)),
                    0);
        }
    }

    /** The elements of the model that has come out. */
    double[] publish(List<ModelShard> shards, int round) throws IOException {
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
    interface Reference {
        double[] step(double[] model, List<double[]> updates, boolean taken);
    }

    void requireRounds(Reference reference) throws Exception {
        var top = top();
        try {
            for (int round = 1; round <= ROUNDS; round++) {
                double[] model = TestModels.values(base(round));
                List<double[]> updates = write(round);
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
                                header, reference.step(model, updates, round != REJECTED));
                double largest = Arrays.stream(expected).map(Math::abs).max().orElseThrow();
                assertThat(found)
                        .as("round %d", round)
                        .containsExactly(expected, within(1e-6 * largest));
            }
        } finally {
            top.close();
        }
    }

    /** An update as the coordinator knows it. */
    Claim claim(int round, int which) {
        return new Claim(
                "job",
                "t-" + which,
                round,
                0,
                1,
                WEIGHTS[which],
                kind,
                0,
                true,
                TestModels.payload(update(round, which)),
                Map.of(
                        "steps",
                        steps(which),
                        "loss-before",
                        loss(which),
                        "squared-norm",
                        squaredNorm(round, which)));
    }

    static double steps(int which) {
        return 3 + 4.0 * which;
    }

    static double loss(int which) {
        return 0.4 + 0.9 * which;
    }

    /** ‖wₖ − w‖². */
    double squaredNorm(int round, int which) {
        double[] values = TestModels.values(update(round, which));
        double[] model = TestModels.values(base(round));
        double sum = 0;
        for (int i = 0; i < values.length; i++) {
            double change = values[i] - (kind == UpdateKind.WEIGHTS ? model[i] : 0);
            sum += change * change;
        }
        return sum;
    }

    double weight(int round, int which) {
        return algorithm.rule() instanceof AggregationRule.Streaming mean
                ? mean.weight(claim(round, which))
                : WEIGHTS[which];
    }

    Map<String, Double> totals(int round) {
        Map<String, Double> totals = new TreeMap<>();
        if (algorithm.rule() instanceof AggregationRule.Streaming mean) {
            for (int which = 0; which < WEIGHTS.length; which++) {
                mean.totals(claim(round, which)).forEach((n, v) -> totals.merge(n, v, Double::sum));
            }
        }
        return totals;
    }

    /** The weighted mean of what changed, in float64. */
    double[] change(List<double[]> updates, double[] model) {
        return change(updates, model, Arrays.stream(WEIGHTS).asDoubleStream().toArray());
    }

    double[] change(List<double[]> updates, double[] model, double[] weights) {
        double[] change = new double[model.length];
        double weight = Arrays.stream(weights).sum();
        for (int i = 0; i < change.length; i++) {
            double sum = 0;
            for (int which = 0; which < WEIGHTS.length; which++) {
                sum += weights[which] * updates.get(which)[i];
            }
            change[i] = sum / weight - (kind == UpdateKind.WEIGHTS ? model[i] : 0);
        }
        return change;
    }

    static SafetensorsHeader floats() {
        return TestModels.header(
                SafetensorsHeader.tensor("a", DType.F32, 7),
                SafetensorsHeader.tensor("b", DType.BF16, 5),
                SafetensorsHeader.tensor("c", DType.F64, 2));
    }
}
