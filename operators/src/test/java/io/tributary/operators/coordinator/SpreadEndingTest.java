// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.coordinator;

import static org.assertj.core.api.Assertions.assertThat;

import io.tributary.node.PayloadStore;
import io.tributary.operators.aggregate.AggregatorInput.CloseNode;
import io.tributary.operators.model.LedgerPart;
import io.tributary.operators.optimizer.Algorithm;
import io.tributary.operators.testutils.Backends;
import io.tributary.operators.testutils.CoordinatorHarness;
import io.tributary.operators.testutils.TestModels;
import io.tributary.operators.testutils.Topologies;
import io.tributary.protocol.message.Receipt;
import io.tributary.protocol.message.Receipt.Status;
import io.tributary.protocol.message.RoundId;
import io.tributary.protocol.message.RoundLedger;
import io.tributary.protocol.message.UpdateKind;
import io.tributary.protocol.tensor.DType;
import io.tributary.protocol.tensor.SafetensorsHeader;
import io.tributary.protocol.topology.Topology;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import org.apache.flink.runtime.checkpoint.OperatorSubtaskState;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The end of a round that is too large for one turn, restored in its middle. */
class SpreadEndingTest {

    /** Three parts of a ledger. */
    private static final int TRAINERS = 2 * LedgerPart.MAX_UPDATES + 500;

    private static final Topology TOPOLOGY = Topologies.of(List.of(2, 1), 1);

    @TempDir Path temp;

    private Path model;

    @BeforeEach
    void writeModel() {
        model =
                TestModels.write(
                        temp.resolve("model"),
                        TestModels.header(SafetensorsHeader.tensor("w", DType.F32, 5)),
                        1);
    }

    private CoordinatorHarness harness(Backends backend, OperatorSubtaskState... restored)
            throws Exception {
        return new CoordinatorHarness(
                backend,
                TOPOLOGY,
                new RoundRules(
                        2,
                        new RoundRules.Quorum(TRAINERS, TRAINERS),
                        new RoundRules.Patience(Duration.ZERO, Duration.ZERO, Duration.ZERO),
                        new RoundRules.Folding(
                                RoundRules.Timing.EAGER,
                                UpdateKind.WEIGHTS,
                                Algorithm.FEDAVG,
                                true),
                        Map.of(),
                        new RoundRules.Limits(TRAINERS, 100)),
                TestModels.spec(model, 2, UpdateKind.WEIGHTS),
                PayloadStore.Place.NONE,
                restored);
    }

    private static void joinAndCount(CoordinatorHarness harness) throws Exception {
        for (int i = 0; i < TRAINERS; i++) {
            harness.join("t" + i, "g" + i % 2);
        }
        for (int i = 0; i < TRAINERS; i++) {
            harness.update("t" + i, 1, 0, i);
        }
    }

    private static List<LedgerPart> parts(CoordinatorHarness harness) {
        return harness.side(CoordinatorOutputs.LEDGERS);
    }

    private static void assertWhole(List<LedgerPart> parts) {
        assertThat(parts).extracting(LedgerPart::number).containsExactly(0, 1, 2);
        assertThat(parts).extracting(LedgerPart::last).containsExactly(false, false, true);
        List<String> trainers = new ArrayList<>();
        for (LedgerPart part : parts) {
            assertThat(part.ledger().updates()).hasSizeLessThanOrEqualTo(LedgerPart.MAX_UPDATES);
            part.ledger().updates().stream().map(RoundLedger.Entry::trainer).forEach(trainers::add);
        }
        assertThat(trainers)
                .as("in the order in which they counted")
                .isEqualTo(IntStream.range(0, TRAINERS).mapToObj(i -> "t" + i).toList());
    }

    @Test
    void theMailboxTakesOthersBetweenTheTurns() throws Exception {
        try (CoordinatorHarness harness = harness(Backends.HEAP)) {
            joinAndCount(harness);
            assertThat(parts(harness)).hasSizeBetween(1, 2);
            assertThat(harness.plan().id()).as("is not yet open").isEqualTo(new RoundId(1, 0));

            harness.update("t7", 1, 0, 7);
            assertThat(harness.receipt().status()).isEqualTo(Status.DUPLICATE);
            harness.join("late", "g0");
            assertThat(harness.receipt().status()).isEqualTo(Status.REJECTED);

            harness.tick();
            assertWhole(parts(harness));
            assertThat(harness.plan().id()).isEqualTo(new RoundId(2, 0));
            assertThat(harness.commands(1)).filteredOn(CloseNode.class::isInstance).hasSize(3);
        }
    }

    @ParameterizedTest
    @CsvSource({"HEAP, HEAP", "ROCKSDB, ROCKSDB", "FORST, FORST", "HEAP, ROCKSDB", "ROCKSDB, HEAP"})
    void aRestoreInTheMiddleGoesOnWhereItWas(Backends before, Backends after) throws Exception {
        OperatorSubtaskState savepoint;
        RoundId undone;
        try (CoordinatorHarness harness = harness(before)) {
            joinAndCount(harness);
            assertThat(harness.commands(1)).as("come last").isEmpty();
            savepoint = harness.leave(before, after);
            // What is said after it is undone by the restore, but a model may have been seen.
            harness.tick();
            assertThat(harness.commands(1)).hasSize(3);
            undone = parts(harness).get(0).ledger().model();
        }
        try (CoordinatorHarness harness = harness(after, savepoint)) {
            harness.tick();
            assertWhole(parts(harness));
            assertThat(parts(harness).get(0).ledger().model()).isNotEqualTo(undone);
            assertThat(harness.commands(1)).hasSize(3);
            assertThat(harness.plan().model()).isEqualTo(parts(harness).get(0).ledger().model());

            for (int i = 0; i < TRAINERS; i++) {
                harness.update("t" + i, 1, 0, i);
            }
            assertThat(harness.receipts())
                    .as("events that come twice after a restore")
                    .extracting(Receipt::status)
                    .containsOnly(Status.DUPLICATE);
            RoundId second = harness.plan().id();
            assertThat(second.round()).isEqualTo(2);
            harness.update("t0", 2, second.epoch(), 5);
            assertThat(harness.receipt().status()).isEqualTo(Status.COMMITTED);
        }
    }
}
