// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.coordinator;

import static org.assertj.core.api.Assertions.assertThat;

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
import io.tributary.protocol.message.Run;
import io.tributary.protocol.message.TrainerEvent;
import io.tributary.protocol.message.UpdateKind;
import io.tributary.protocol.topology.Topology;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

/** What happens at an event, in which order, without Flink around it. */
class RoundStateMachineTest {

    private static final Topology TOPOLOGY = Topologies.of(List.of(2, 1), 1);
    private static final Duration DEADLINE = Duration.ofSeconds(10);

    private final CoordinatorState state = new CoordinatorState();

    /** All that was to be done, in order. */
    private final List<Object> out = new ArrayList<>();

    private RoundStateMachine machine;
    private long nanos = 1;

    private void begin(Timing timing) {
        machine =
                new RoundStateMachine(
                        new RoundStateMachine.Job(
                                CoordinatorHarness.JOB, Run.of("secret"), TOPOLOGY, 1),
                        new RoundRules(
                                2,
                                new RoundRules.Quorum(2, 1),
                                new RoundRules.Patience(DEADLINE, Duration.ZERO, Duration.ZERO),
                                new RoundRules.Folding(
                                        timing, UpdateKind.WEIGHTS, Algorithm.FEDAVG, true),
                                Map.of(),
                                new RoundRules.Limits(10, 100)),
                        new Trust(Map.of()),
                        new Locations(false, TOPOLOGY, 2),
                        RoundEnding.Pace.DEFAULT,
                        state);
        happens(new CoordinatorEvent.Started(5));
    }

    private void happens(CoordinatorEvent event) {
        for (Effect effect : machine.on(event, new Moment(nanos, nanos / 1000))) {
            if (effect instanceof Effect.Command command) {
                out.add(command.input());
            } else if (effect instanceof Effect.Answer answer) {
                out.add(answer.receipt());
            } else if (effect instanceof Effect.Record record) {
                out.add(record.part().ledger());
            } else if (effect instanceof Effect.Announce announce) {
                out.add(announce.plan());
            }
        }
    }

    private void inbound(TrainerEvent event) {
        happens(new CoordinatorEvent.Inbound("mqtt", event));
    }

    private void tick() {
        happens(new CoordinatorEvent.Tick());
    }

    /** The job runs until its round's deadline is over. */
    private void awaitDeadline() {
        for (int second = 0; second <= DEADLINE.toSeconds(); second++) {
            nanos += Duration.ofSeconds(1).toNanos();
            tick();
        }
    }

    private void join(String trainer, String group) {
        inbound(
                new TrainerEvent.Control(
                        new ControlMessage(
                                ControlMessage.Type.JOIN,
                                CoordinatorHarness.JOB,
                                trainer,
                                "i",
                                group)));
    }

    private Claim claim(String trainer) {
        return CoordinatorHarness.claim(
                trainer, state.round, state.roundEpoch, 4, 7, new PayloadRef("/x", 0, 8, 0));
    }

    private void update(Claim claim) {
        inbound(new TrainerEvent.UpdateStaged(claim));
    }

    private void open(Timing timing) {
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
    void aRoundEndsInItsLedgerThenCommandsThenTheNextPlan() {
        open(Timing.EAGER);
        update(claim("a"));
        assertThat(out).hasExactlyElementsOfTypes(FoldUpdate.class, OutboundReceipt.class);
        out.clear();
        update(claim("b"));
        assertThat(out)
                .hasExactlyElementsOfTypes(
                        FoldUpdate.class,
                        OutboundReceipt.class,
                        RoundLedger.class,
                        CloseNode.class,
                        CloseNode.class,
                        CloseNode.class,
                        RoundPlan.class);
        assertThat(state.round).isEqualTo(2);
    }

    @Test
    void aLazyRoundFoldsWhenItCloses() {
        open(Timing.LAZY);
        update(claim("a"));
        assertThat(out).hasExactlyElementsOfTypes(OutboundReceipt.class);
        out.clear();
        update(claim("b"));
        assertThat(out.stream().filter(FoldUpdate.class::isInstance)).hasSize(2);
        assertThat(out.get(out.size() - 1)).isInstanceOf(RoundPlan.class);
    }

    @Test
    void aRoundWithoutItsQuorumIsDroppedAndOpensAgainWithAnotherEpoch() {
        open(Timing.EAGER);
        long epoch = state.roundEpoch;
        awaitDeadline();
        assertThat(out).noneMatch(DropRound.class::isInstance);
        assertThat(state.round).isEqualTo(1);
        assertThat(state.phase).isEqualTo(Phase.OPEN);
        assertThat(state.roundEpoch).isNotEqualTo(epoch);
    }

    @Test
    void atTheDeadlineWhatIsThereIsEnoughIfItIsTheQuorum() {
        open(Timing.EAGER);
        update(claim("a"));
        awaitDeadline();
        assertThat(state.round).isEqualTo(2);
        assertThat(out)
                .filteredOn(RoundLedger.class::isInstance)
                .singleElement()
                .extracting(ledger -> ((RoundLedger) ledger).updates().size())
                .isEqualTo(1);
    }

    @Test
    void whatIsRejectedFoldsNothingAndIsAnswered() {
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
    void theLastRoundEndsTheJobWhenAllHaveLeft() {
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
