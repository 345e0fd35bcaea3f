// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.coordinator;

import static org.assertj.core.api.Assertions.assertThat;

import io.tributary.operators.coordinator.Admission.Verdict;
import io.tributary.operators.coordinator.CoordinatorState.Phase;
import io.tributary.operators.model.LedgerPart;
import io.tributary.operators.optimizer.Algorithm;
import io.tributary.operators.testutils.Topologies;
import io.tributary.protocol.RejectReason;
import io.tributary.protocol.message.Claim;
import io.tributary.protocol.message.ControlMessage;
import io.tributary.protocol.message.DeadLetter;
import io.tributary.protocol.message.PayloadRef;
import io.tributary.protocol.message.Receipt;
import io.tributary.protocol.message.Receipt.Status;
import io.tributary.protocol.message.RoundLedger;
import io.tributary.protocol.message.RoundPlan;
import io.tributary.protocol.message.RoundStatus;
import io.tributary.protocol.message.Run;
import io.tributary.protocol.message.TrainerEvent;
import io.tributary.protocol.message.UpdateKind;
import io.tributary.protocol.topology.Topology;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class RoundEventsTest {

    private static final Topology TOPOLOGY = Topologies.of(List.of(1), 1);
    private static final Run RUN = Run.of("secret");

    private final CoordinatorState state = new CoordinatorState();
    private RoundEvents events;

    @BeforeEach
    void open() {
        state.begin(false, 9);
        TestRounds.join(state, "a", "g0", "mqtt");
        TestRounds.join(state, "b", "g0", "mqtt");
        TestRounds.open(state, TOPOLOGY, 0);
        RoundRules rules =
                new RoundRules(
                        2,
                        new RoundRules.Quorum(1, 1),
                        new RoundRules.Patience(
                                Duration.ofSeconds(90), Duration.ZERO, Duration.ZERO),
                        new RoundRules.Folding(
                                RoundRules.Timing.EAGER, UpdateKind.DELTA, Algorithm.FEDAVG, true),
                        Map.of(),
                        RoundRules.Limits.DEFAULT,
                        Map.of("lr", 0.1),
                        "judge",
                        RoundRules.Evaluation.NONE,
                        RoundRules.Goal.NONE);
        events = new RoundEvents("job", RUN, rules, state);
        events.begin("mqtt");
    }

    private <T extends Effect> List<T> all(Class<T> type) {
        return events.effects().stream().filter(type::isInstance).map(type::cast).toList();
    }

    /** The only effect of its kind. */
    private <T extends Effect> T only(Class<T> type) {
        assertThat(all(type)).hasSize(1);
        return all(type).get(0);
    }

    private Receipt receipt() {
        return only(Effect.Answer.class).receipt().receipt();
    }

    private Claim claim(String trainer) {
        return new Claim(
                "job",
                trainer,
                state.round,
                state.roundEpoch,
                77,
                3,
                UpdateKind.DELTA,
                0xCAFE,
                true,
                new PayloadRef("/x", 0, 8, 0),
                Map.of());
    }

    @Test
    void aPlanNamesTheRoundAndTheModelToStartFrom() {
        events.plan();
        RoundPlan plan = only(Effect.Announce.class).plan();
        assertThat(plan.state()).isEqualTo(RoundPlan.State.OPEN);
        assertThat(plan.id()).isEqualTo(state.id());
        assertThat(plan.model()).isEqualTo(state.base());
        assertThat(plan.kind()).isEqualTo(UpdateKind.DELTA);
        assertThat(plan.deadlineSeconds()).isEqualTo(90);
        assertThat(plan.config()).isEqualTo(Map.of("lr", 0.1));
        assertThat(plan.run()).isEqualTo(RUN.id());
        assertThat(plan.end()).as("the proof of the end is kept until then").isEmpty();
    }

    @Test
    void onlyAPlanEndedShowsTheProof() {
        state.phase = Phase.ENDED;
        events.plan();
        assertThat(Run.ends(only(Effect.Announce.class).plan())).isTrue();
    }

    @Test
    void anUpdateThatCountsIsAnsweredWithItsSendingAndItsContent() {
        events.counted(claim("a"));
        Receipt receipt = receipt();
        assertThat(receipt.status()).isEqualTo(Status.COMMITTED);
        assertThat(receipt.attempt()).isEqualTo(77);
        assertThat(receipt.contentId()).isEqualTo("0000cafe");
        assertThat(receipt.instance()).isEmpty();
    }

    @Test
    void aDuplicateIsCountedAndAnswered() {
        events.duplicate(claim("a"));
        assertThat(state.duplicates).isEqualTo(1);
        assertThat(receipt().status()).isEqualTo(Status.DUPLICATE);
    }

    /** The round waits for who may send again, and for nobody else. */
    @Test
    void aRejectionTellsTrainerAndOperatorAndIsNotWaitedForIfItIsFinal() {
        Claim claim = claim("a");
        events.rejected(claim, Verdict.Reject.of(RejectReason.NOT_FINITE, claim, "it has NaN"));
        Receipt receipt = receipt();
        assertThat(receipt.reason()).isEqualTo(RejectReason.NOT_FINITE);
        assertThat(receipt.text()).contains("trainer a").contains("it has NaN");
        DeadLetter letter = only(Effect.Report.class).letter();
        assertThat(letter.trainer()).isEqualTo("a");
        assertThat(state.rejected).isEqualTo(1);
        assertThat(state.trainers.awaited()).isEqualTo(1);
        Claim lost = claim("b");
        events.rejected(lost, Verdict.Reject.of(RejectReason.PAYLOAD_LOST, lost, "it is gone"));
        assertThat(state.trainers.awaited()).as("b may send it again").isEqualTo(1);
    }

    /** A job has several transports, and a receipt may hold what only its trainer is to know. */
    @Test
    void anAnswerGoesByTheTransportByWhichItsTrainerSpeaks() {
        events.counted(claim("a"));
        Claim claim = claim("b");
        TestRounds.join(state, "b", "g0", "shm");
        events.lost(claim, Verdict.Reject.of(RejectReason.PAYLOAD_LOST, claim, "it is gone"));
        assertThat(all(Effect.Answer.class))
                .extracting(answer -> answer.receipt().transport())
                .containsExactly("mqtt", "shm");
    }

    @Test
    void anInputOfNobodyIsADeadLetterAlone() {
        DeadLetter letter =
                new DeadLetter("topic", "", 0, 0, RejectReason.MALFORMED, "no such thing");
        events.rejected(new TrainerEvent.InputRejected(letter));
        assertThat(only(Effect.Report.class).letter()).isEqualTo(letter);
        assertThat(all(Effect.Answer.class)).isEmpty();
        assertThat(state.rejected).isZero();
    }

    @Test
    void aJoinIsAnsweredWithTheTokenOfThatClient() {
        events.joined(new ControlMessage(ControlMessage.Type.JOIN, "job", "a", "inst", "g0"));
        Receipt receipt = receipt();
        assertThat(receipt.status()).isEqualTo(Status.JOINED);
        assertThat(receipt.instance()).isEqualTo("inst");
        assertThat(RUN.gave(receipt.token(), "a", "inst")).isTrue();
        assertThat(receipt.epoch()).isEqualTo(state.epoch);
    }

    @Test
    void aPartOfALedgerNamesUpdatesInTheOrderInWhichTheyCounted() {
        TestRounds.count(state, TOPOLOGY, claim("b"), false);
        TestRounds.count(state, TOPOLOGY, claim("a"), false);
        state.close(true, false, 0);
        events.ledger(state.ending().orElseThrow(), 0, 0, 2, true);
        LedgerPart part = only(Effect.Record.class).part();
        assertThat(part.last()).isTrue();
        assertThat(part.ledger().updates())
                .extracting(RoundLedger.Entry::trainer)
                .containsExactly("b", "a");
        assertThat(part.ledger().round()).isEqualTo(1);
    }

    @Test
    void aStatusSaysHowTheRoundStands() {
        TestRounds.count(state, TOPOLOGY, claim("a"), false);
        events.status(RoundStatus.State.OPEN);
        RoundStatus status = only(Effect.Show.class).status();
        assertThat(status.updates()).isEqualTo(1);
        assertThat(status.state()).isEqualTo(RoundStatus.State.OPEN);
    }
}
