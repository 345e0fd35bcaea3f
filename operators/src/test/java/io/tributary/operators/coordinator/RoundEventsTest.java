// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.coordinator;

import static org.assertj.core.api.Assertions.assertThat;

import io.tributary.operators.coordinator.Admission.Verdict;
import io.tributary.operators.coordinator.CoordinatorState.Member;
import io.tributary.operators.coordinator.CoordinatorState.Phase;
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
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.flink.api.common.functions.util.ListCollector;
import org.apache.flink.metrics.groups.UnregisteredMetricsGroup;
import org.apache.flink.util.OutputTag;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class RoundEventsTest {

    private static final Run RUN = Run.of("secret");

    private final CoordinatorState state = new CoordinatorState();
    private final Map<String, List<Object>> emitted = new HashMap<>();
    private final List<RoundStatus> statuses = new ArrayList<>();
    private RoundEvents events;

    @BeforeEach
    void open() {
        state.begin(false, 9);
        state.join("a", new Member("i", "g0", "leaf", "mqtt", 0));
        state.join("b", new Member("i", "g0", "leaf", "mqtt", 0));
        state.open(0, Topologies.of(List.of(1), 1), Map.of(), 0, "eager");
        RoundRules rules =
                new RoundRules(
                        2,
                        new RoundRules.Quorum(1, 1),
                        new RoundRules.Patience(
                                Duration.ofSeconds(90), Duration.ZERO, Duration.ZERO),
                        new RoundRules.Folding(
                                RoundRules.Timing.EAGER, UpdateKind.DELTA, Algorithm.FEDAVG, true),
                        Map.of(),
                        RoundRules.Limits.DEFAULT);
        events =
                new RoundEvents(
                        new RoundEvents.Speaker("job", RUN, "mqtt"),
                        rules,
                        state,
                        new RoundEvents.SideOutput() {
                            @Override
                            public <T> void emit(OutputTag<T> tag, T value) {
                                emitted.computeIfAbsent(tag.getId(), id -> new ArrayList<>())
                                        .add(value);
                            }
                        },
                        new ListCollector<>(statuses),
                        new CoordinatorMetrics(new UnregisteredMetricsGroup()));
    }

    /** The only value that has left by an output. */
    private <T> T only(OutputTag<T> tag) {
        List<Object> all = emitted.getOrDefault(tag.getId(), List.of());
        assertThat(all).hasSize(1);
        return tag.getTypeInfo().getTypeClass().cast(all.get(0));
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
        RoundPlan plan = only(CoordinatorOutputs.PLANS);
        assertThat(plan.state()).isEqualTo(RoundPlan.State.OPEN);
        assertThat(plan.id()).isEqualTo(state.id());
        assertThat(plan.model()).isEqualTo(state.base());
        assertThat(plan.kind()).isEqualTo(UpdateKind.DELTA);
        assertThat(plan.deadlineSeconds()).isEqualTo(90);
        assertThat(plan.run()).isEqualTo(RUN.id());
        assertThat(plan.end()).as("the proof of the end is kept until then").isEmpty();
    }

    @Test
    void onlyAPlanEndedShowsTheProof() {
        state.phase = Phase.ENDED;
        events.plan();
        assertThat(Run.ends(only(CoordinatorOutputs.PLANS))).isTrue();
    }

    @Test
    void anUpdateThatCountsIsAnsweredWithItsSendingAndItsContent() {
        events.counted(claim("a"));
        Receipt receipt = only(CoordinatorOutputs.RECEIPTS).receipt();
        assertThat(receipt.status()).isEqualTo(Status.COMMITTED);
        assertThat(receipt.attempt()).isEqualTo(77);
        assertThat(receipt.contentId()).isEqualTo("0000cafe");
        assertThat(receipt.instance()).isEmpty();
    }

    @Test
    void aDuplicateIsCountedAndAnswered() {
        events.duplicate(claim("a"));
        assertThat(state.duplicates).isEqualTo(1);
        assertThat(only(CoordinatorOutputs.RECEIPTS).receipt().status())
                .isEqualTo(Status.DUPLICATE);
    }

    /** The round waits for who may send again, and for nobody else. */
    @Test
    void aRejectionTellsTrainerAndOperatorAndIsNotWaitedForIfItIsFinal() {
        Claim claim = claim("a");
        events.rejected(claim, Verdict.Reject.of(RejectReason.NOT_FINITE, claim, "it has NaN"));
        Receipt receipt = only(CoordinatorOutputs.RECEIPTS).receipt();
        assertThat(receipt.reason()).isEqualTo(RejectReason.NOT_FINITE);
        assertThat(receipt.text()).contains("trainer a").contains("it has NaN");
        DeadLetter letter = only(CoordinatorOutputs.DEAD_LETTERS);
        assertThat(letter.trainer()).isEqualTo("a");
        assertThat(state.rejected).isEqualTo(1);
        assertThat(state.awaited).containsExactly("b");
        Claim lost = claim("b");
        events.rejected(lost, Verdict.Reject.of(RejectReason.PAYLOAD_LOST, lost, "it is gone"));
        assertThat(state.awaited).as("b may send it again").containsExactly("b");
    }

    /** A job has several transports, and a receipt may hold what only its trainer is to know. */
    @Test
    void anAnswerGoesByTheTransportByWhichItsTrainerSpeaks() {
        events.counted(claim("a"));
        Claim claim = claim("b");
        state.join("b", new Member("i", "g0", "leaf", "shm", 0));
        events.lost(claim, Verdict.Reject.of(RejectReason.PAYLOAD_LOST, claim, "it is gone"));
        assertThat(emitted.get(CoordinatorOutputs.RECEIPTS.getId()))
                .extracting(answer -> ((OutboundReceipt) answer).transport())
                .containsExactly("mqtt", "shm");
    }

    @Test
    void anInputOfNobodyIsADeadLetterAlone() {
        DeadLetter letter =
                new DeadLetter("topic", "", 0, 0, RejectReason.MALFORMED, "no such thing");
        events.rejected(new TrainerEvent.InputRejected(letter));
        assertThat(only(CoordinatorOutputs.DEAD_LETTERS)).isEqualTo(letter);
        assertThat(emitted).doesNotContainKey(CoordinatorOutputs.RECEIPTS.getId());
        assertThat(state.rejected).isZero();
    }

    @Test
    void aJoinIsAnsweredWithTheTokenOfThatClient() {
        events.joined(new ControlMessage(ControlMessage.Type.JOIN, "job", "a", "inst", "g0"));
        Receipt receipt = only(CoordinatorOutputs.RECEIPTS).receipt();
        assertThat(receipt.status()).isEqualTo(Status.JOINED);
        assertThat(receipt.instance()).isEqualTo("inst");
        assertThat(RUN.gave(receipt.token(), "a", "inst")).isTrue();
        assertThat(receipt.epoch()).isEqualTo(state.epoch);
    }

    @Test
    void aLedgerNamesTheUpdatesOfItsModelInOrder() {
        state.count(claim("b"), state.members.get("b"), 0);
        state.count(claim("a"), state.members.get("a"), 0);
        events.ledger();
        RoundLedger ledger = only(CoordinatorOutputs.LEDGERS);
        assertThat(ledger.updates())
                .extracting(RoundLedger.Entry::trainer)
                .containsExactly("a", "b");
        assertThat(ledger.round()).isEqualTo(state.round);
    }

    @Test
    void aStatusSaysHowTheRoundStands() {
        state.count(claim("a"), state.members.get("a"), 0);
        events.status(RoundStatus.State.OPEN);
        assertThat(statuses).hasSize(1);
        assertThat(statuses.get(0).updates()).isEqualTo(1);
        assertThat(statuses.get(0).state()).isEqualTo(RoundStatus.State.OPEN);
    }
}
