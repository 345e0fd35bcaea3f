// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.aggregate;

import static org.assertj.core.api.Assertions.assertThat;

import io.tributary.node.PayloadStore;
import io.tributary.operators.aggregate.AggregatorInput.CloseNode;
import io.tributary.operators.aggregate.AggregatorInput.FoldPartial;
import io.tributary.operators.clock.Clock;
import io.tributary.operators.coordinator.RoundRules;
import io.tributary.operators.model.ModelSpec;
import io.tributary.operators.model.PosixModelStore;
import io.tributary.operators.optimizer.Algorithm;
import io.tributary.operators.testutils.CoordinatorHarness;
import io.tributary.operators.testutils.TestModels;
import io.tributary.operators.testutils.Topologies;
import io.tributary.protocol.message.Receipt.Status;
import io.tributary.protocol.message.RoundId;
import io.tributary.protocol.message.UpdateKind;
import io.tributary.protocol.tensor.DType;
import io.tributary.protocol.tensor.SafetensorsHeader;
import io.tributary.protocol.topology.Topology;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.apache.flink.runtime.checkpoint.OperatorSubtaskState;
import org.apache.flink.streaming.util.KeyedOneInputStreamOperatorTestHarness;
import org.apache.flink.streaming.util.OperatorSnapshotUtil;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * State that earlier versions wrote, under {@code src/test/resources/snapshots}, is understood by
 * this one. A version's files are written once, by {@code -Dtributary.snapshots=DIR}, and kept.
 */
class EarlierSnapshotsTest {

    private static final Topology TREE = Topologies.of(List.of(2, 1), 2);
    private static final RoundId ROUND = new RoundId(2, 0);
    private static final RoundId BASE = new RoundId(1, 0);

    @TempDir Path temp;

    private ModelSpec model;

    /** Version 1 summed all types in float64, version 2 sums integers exactly. */
    private void use(String version) {
        SafetensorsHeader header =
                version.equals("v1")
                        ? TestModels.header(SafetensorsHeader.tensor("w", DType.F64, 4))
                        : TestModels.header(
                                SafetensorsHeader.tensor("n", DType.I64, 2),
                                SafetensorsHeader.tensor("w", DType.F64, 2));
        model =
                TestModels.spec(
                        TestModels.write(temp.resolve("m"), header, 1), 4, UpdateKind.WEIGHTS);
    }

    private CoordinatorHarness coordinator(OperatorSubtaskState... restored) throws Exception {
        RoundRules rules =
                new RoundRules(
                        5,
                        new RoundRules.Quorum(3, 1),
                        new RoundRules.Patience(Duration.ZERO, Duration.ZERO, Duration.ofHours(1)),
                        new RoundRules.Folding(
                                RoundRules.Timing.EAGER,
                                UpdateKind.WEIGHTS,
                                Algorithm.FEDAVG,
                                true),
                        Map.of(),
                        RoundRules.Limits.DEFAULT);
        return new CoordinatorHarness(TREE, rules, model, restored);
    }

    private KeyedOneInputStreamOperatorTestHarness<NodeShard, AggregatorInput, AggregatorInput>
            aggregator(OperatorSubtaskState... restored) throws Exception {
        var harness =
                new KeyedOneInputStreamOperatorTestHarness<>(
                        new PartialSumOperator(
                                model,
                                PosixModelStore.at(temp.resolve("models")),
                                PayloadStore.Place.NONE,
                                Optional.empty(),
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

    private FoldPartial partial(String node, double weight, double... sum) {
        return new FoldPartial(
                node,
                0,
                ROUND,
                RunWeights.same(model.layout().segments(0).size(), weight, 1),
                TestSums.of(model.layout(), 0, sum));
    }

    @Test
    void write() throws Exception {
        String directory = System.getProperty("tributary.snapshots");
        Assumptions.assumeTrue(directory != null);
        use("v2");
        try (CoordinatorHarness coordinator = coordinator()) {
            String group = TREE.trainerGroups().get(0);
            for (String trainer : new String[] {"t-1", "t-2", "t-3"}) {
                coordinator.join(trainer, group);
            }
            for (String trainer : new String[] {"t-1", "t-2", "t-3"}) {
                coordinator.update(trainer, 1, 0, 7);
            }
            coordinator.update("t-1", 2, 0, 8);
            OperatorSnapshotUtil.writeStateHandle(
                    coordinator.snapshot(1), directory + "/coordinator");
        }
        try (var aggregator = aggregator()) {
            aggregator.processElement(partial("open", 2, 1, 2, 3, 4), 0);
            aggregator.processElement(partial("open", 3, 10, 20, 30, 40), 0);
            aggregator.processElement(partial("closing", 2, 1, 2, 3, 4), 0);
            aggregator.processElement(
                    new CloseNode(
                            "closing",
                            0,
                            ROUND,
                            "top",
                            2,
                            new AggregatorInput.RoundEnd(ROUND, BASE, 2, 2, Map.of(), 99)),
                    0);
            OperatorSnapshotUtil.writeStateHandle(
                    aggregator.snapshot(1, 1), directory + "/aggregator");
        }
    }

    private static OperatorSubtaskState read(String file) throws Exception {
        return OperatorSnapshotUtil.readStateHandle(
                EarlierSnapshotsTest.class.getResource("/snapshots/" + file).getPath());
    }

    @ParameterizedTest
    @ValueSource(strings = {"v1", "v2", "v3"})
    void aCoordinatorGoesOnWithTheRoundThatWasOpen(String version) throws Exception {
        use(version);
        try (CoordinatorHarness coordinator = coordinator(read(version + "/coordinator"))) {
            coordinator.update("t-1", 2, 0, 8);
            assertThat(coordinator.receipt().status()).isEqualTo(Status.DUPLICATE);
            coordinator.update("t-2", 1, 0, 7);
            assertThat(coordinator.receipt().status()).isEqualTo(Status.DUPLICATE);
            coordinator.update("t-2", 2, 0, 9);
            coordinator.update("t-3", 2, 0, 9);
            // Its sums are under the names of that time, and are found under no others.
            assertThat(coordinator.commands(0))
                    .filteredOn(CloseNode.class::isInstance)
                    .isNotEmpty()
                    .allMatch(command -> command.node().contains("@") != version.equals("v1"));
            assertThat(coordinator.plan().round()).isEqualTo(3);
            coordinator.update("t-1", 3, coordinator.plan().epoch(), 8);
            assertThat(coordinator.commands(0))
                    .filteredOn(command -> command.round().round() == 3)
                    .isNotEmpty()
                    .allMatch(command -> command.node().endsWith("@/4"));
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"v1", "v2", "v3"})
    void anAggregatorGoesOnWithItsSums(String version) throws Exception {
        use(version);
        try (var aggregator = aggregator(read(version + "/aggregator"))) {
            aggregator.processElement(
                    new CloseNode(
                            "open",
                            0,
                            ROUND,
                            "top",
                            2,
                            new AggregatorInput.RoundEnd(ROUND, BASE, 2, 2, Map.of(), 99)),
                    0);
            aggregator.processElement(partial("closing", 1, 1, 1, 1, 1), 0);
            assertThat(aggregator.extractOutputValues())
                    .extracting(FoldPartial.class::cast)
                    .satisfiesExactly(
                            open -> {
                                assertThat(open.weights().weight(0)).isEqualTo(5);
                                assertThat(TestSums.values(model.layout(), 0, open.sum()))
                                        .containsExactly(11, 22, 33, 44);
                            },
                            closing -> {
                                assertThat(closing.weights().weight(0)).isEqualTo(3);
                                assertThat(TestSums.values(model.layout(), 0, closing.sum()))
                                        .containsExactly(2, 3, 4, 5);
                            });
        }
    }
}
