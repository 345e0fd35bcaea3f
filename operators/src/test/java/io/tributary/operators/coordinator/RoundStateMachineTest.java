// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.coordinator;

import static org.assertj.core.api.Assertions.assertThat;

import io.tributary.node.PayloadStore;
import io.tributary.operators.aggregate.AggregatorInput.CloseNode;
import io.tributary.operators.aggregate.AggregatorInput.DropRound;
import io.tributary.operators.aggregate.AggregatorInput.FoldUpdate;
import io.tributary.operators.coordinator.CoordinatorState.Phase;
import io.tributary.operators.coordinator.RoundRules.Timing;
import io.tributary.operators.optimizer.Algorithm;
import io.tributary.operators.testutils.CoordinatorHarness;
import io.tributary.operators.testutils.Topologies;
import io.tributary.protocol.RejectReason;
import io.tributary.protocol.message.Claim;
import io.tributary.protocol.message.ControlMessage;
import io.tributary.protocol.message.PayloadRef;
import io.tributary.protocol.message.Receipt;
import io.tributary.protocol.message.RoundLedger;
import io.tributary.protocol.message.RoundPlan;
import io.tributary.protocol.message.RoundStatus;
import io.tributary.protocol.message.Run;
import io.tributary.protocol.message.TrainerEvent;
import io.tributary.protocol.message.UpdateKind;
import io.tributary.protocol.topology.Topology;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.apache.flink.api.common.functions.util.ListCollector;
import org.apache.flink.metrics.groups.UnregisteredMetricsGroup;
import org.apache.flink.util.OutputTag;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** What happens at an event, in which order, without Flink around it. */
class RoundStateMachineTest {

    private static final Topology TOPOLOGY = Topologies.of(List.of(2, 1), 1);
    private static final Duration DEADLINE = Duration.ofSeconds(10);

    private final CoordinatorState state = new CoordinatorState();
    private final PayloadStore regions = PayloadStore.Place.NONE.open();
    private final Clock clock = new Clock();

    /** All that has left, in order. */
    private final List<Object> out = new ArrayList<>();

    private RoundStateMachine machine;

    @AfterEach
    void close() {
        regions.close();
    }

    private static final class Clock implements Surroundings {
        private static final long serialVersionUID = 1L;
        private long nanos = 1;

        @Override
        public long nanoTime() {
            return nanos;
        }

        @Override
        public long micros() {
            return nanos / 1000;
        }

        @Override
        public int nonce() {
            return 5;
        }
    }

    private void begin(Timing timing) {
        RoundRules rules =
                new RoundRules(
                        2,
                        new RoundRules.Quorum(2, 1),
                        new RoundRules.Patience(DEADLINE, Duration.ZERO, Duration.ZERO),
                        new RoundRules.Folding(timing, UpdateKind.WEIGHTS, Algorithm.FEDAVG, true),
                        Map.of(),
                        RoundRules.Limits.DEFAULT);
        LeafAssigner assigner = new LeafAssigner(TOPOLOGY);
        CoordinatorMetrics metrics = new CoordinatorMetrics(new UnregisteredMetricsGroup());
        RoundEvents.SideOutput side =
                new RoundEvents.SideOutput() {
                    @Override
                    public <T> void emit(OutputTag<T> tag, T value) {
                        out.add(value);
                    }
                };
        state.begin(false, clock.nonce());
        List<RoundStatus> statuses = new ArrayList<>();
        machine =
                new RoundStateMachine(
                        new RoundStateMachine.Policies(
                                TOPOLOGY,
                                rules,
                                new Admission(CoordinatorHarness.JOB, UpdateKind.WEIGHTS, 100),
                                new Trust(Map.of()),
                                new RoundLifecycle(rules),
                                assigner,
                                new TrainerRegistry(TOPOLOGY, assigner, 10),
                                new FoldPlanner(TOPOLOGY, rules.folding(), 1)),
                        new RoundStateMachine.Services(
                                CoordinatorHarness.JOB,
                                metrics,
                                regions,
                                new CheckpointedReleases(regions),
                                new Locations(false, TOPOLOGY, 2),
                                new JobTime(clock.nanoTime(), Duration.ZERO),
                                clock),
                        new RoundEvents(
                                new RoundEvents.Speaker(
                                        CoordinatorHarness.JOB, Run.of("secret"), "mqtt"),
                                rules,
                                state,
                                side,
                                new ListCollector<>(statuses),
                                metrics),
                        side,
                        state);
    }

    private void join(String trainer, String group) throws Exception {
        machine.control(
                new TrainerEvent.Control(
                        new ControlMessage(
                                ControlMessage.Type.JOIN,
                                CoordinatorHarness.JOB,
                                trainer,
                                "i",
                                group)));
        machine.end();
    }

    private Claim claim(String trainer) {
        return CoordinatorHarness.claim(
                trainer, state.round, state.roundEpoch, 4, 7, new PayloadRef("/x", 0, 8, 0));
    }

    private void update(Claim claim) throws Exception {
        machine.update(claim);
        machine.end();
    }

    private void open(Timing timing) throws Exception {
        begin(timing);
        join("a", "g0");
        join("b", "g1");
        assertThat(state.phase).isEqualTo(Phase.OPEN);
        out.clear();
    }

    /**
     * A model must not be announced before its commands have left, nor a round before its model.
     */
    @Test
    void aRoundEndsInCommandsThenItsLedgerThenTheNextPlan() throws Exception {
        open(Timing.EAGER);
        update(claim("a"));
        assertThat(out).hasExactlyElementsOfTypes(FoldUpdate.class, OutboundReceipt.class);
        out.clear();
        update(claim("b"));
        assertThat(out)
                .hasExactlyElementsOfTypes(
                        FoldUpdate.class,
                        OutboundReceipt.class,
                        CloseNode.class,
                        CloseNode.class,
                        CloseNode.class,
                        RoundLedger.class,
                        RoundPlan.class);
        assertThat(state.round).isEqualTo(2);
    }

    @Test
    void aLazyRoundFoldsWhenItCloses() throws Exception {
        open(Timing.LAZY);
        update(claim("a"));
        assertThat(out).hasExactlyElementsOfTypes(OutboundReceipt.class);
        out.clear();
        update(claim("b"));
        assertThat(out.stream().filter(FoldUpdate.class::isInstance)).hasSize(2);
        assertThat(out.get(out.size() - 1)).isInstanceOf(RoundPlan.class);
    }

    @Test
    void aRoundWithoutItsQuorumIsDroppedAndOpensAgainWithAnotherEpoch() throws Exception {
        open(Timing.EAGER);
        long epoch = state.roundEpoch;
        state.ranNanos += DEADLINE.toNanos();
        machine.end();
        assertThat(out).noneMatch(DropRound.class::isInstance);
        assertThat(state.round).isEqualTo(1);
        assertThat(state.phase).isEqualTo(Phase.OPEN);
        assertThat(state.roundEpoch).isNotEqualTo(epoch);
    }

    @Test
    void atTheDeadlineWhatIsThereIsEnoughIfItIsTheQuorum() throws Exception {
        open(Timing.EAGER);
        update(claim("a"));
        state.ranNanos += DEADLINE.toNanos();
        machine.end();
        assertThat(state.round).isEqualTo(2);
        assertThat(out)
                .filteredOn(RoundLedger.class::isInstance)
                .singleElement()
                .extracting(ledger -> ((RoundLedger) ledger).updates().size())
                .isEqualTo(1);
    }

    @Test
    void whatIsRejectedFoldsNothingAndIsAnswered() throws Exception {
        open(Timing.EAGER);
        Claim claim = claim("nobody");
        update(claim);
        assertThat(out)
                .filteredOn(OutboundReceipt.class::isInstance)
                .singleElement()
                .extracting(answer -> ((OutboundReceipt) answer).receipt())
                .extracting(Receipt::reason)
                .isEqualTo(RejectReason.UNKNOWN_TRAINER);
        assertThat(out).noneMatch(FoldUpdate.class::isInstance);
    }

    @Test
    void theLastRoundEndsTheJobWhenAllHaveLeft() throws Exception {
        open(Timing.EAGER);
        for (int round = 1; round <= 2; round++) {
            update(claim("a"));
            update(claim("b"));
        }
        assertThat(out)
                .filteredOn(RoundPlan.class::isInstance)
                .extracting(plan -> ((RoundPlan) plan).state())
                .containsExactly(
                        RoundPlan.State.OPEN, RoundPlan.State.FINISHED, RoundPlan.State.ENDED);
    }
}
