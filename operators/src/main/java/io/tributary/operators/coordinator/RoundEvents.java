// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.coordinator;

import io.tributary.operators.coordinator.Admission.Verdict;
import io.tributary.operators.coordinator.CoordinatorState.AcceptedUpdate;
import io.tributary.operators.coordinator.CoordinatorState.Member;
import io.tributary.protocol.RejectReason;
import io.tributary.protocol.message.Claim;
import io.tributary.protocol.message.ControlMessage;
import io.tributary.protocol.message.DeadLetter;
import io.tributary.protocol.message.Receipt;
import io.tributary.protocol.message.Receipt.Decision;
import io.tributary.protocol.message.Receipt.Sending;
import io.tributary.protocol.message.Receipt.Status;
import io.tributary.protocol.message.RoundId;
import io.tributary.protocol.message.RoundLedger;
import io.tributary.protocol.message.RoundLedger.Entry;
import io.tributary.protocol.message.RoundPlan;
import io.tributary.protocol.message.RoundStatus;
import io.tributary.protocol.message.Run;
import io.tributary.protocol.message.TrainerEvent;
import java.util.Comparator;
import java.util.Optional;
import org.apache.flink.util.Collector;
import org.apache.flink.util.OutputTag;

/** Tells trainers, operators and the metrics what was decided. */
final class RoundEvents {

    private final Speaker speaker;
    private final RoundRules rules;
    private final CoordinatorState state;
    private final SideOutput side;
    private final Collector<RoundStatus> out;
    private final CoordinatorMetrics metrics;

    /** Flink's side outputs. */
    @FunctionalInterface
    interface SideOutput {
        <T> void emit(OutputTag<T> tag, T value);
    }

    /**
     * Who speaks, and by which way it answers.
     *
     * @param job the job
     * @param run the submission of it
     * @param transport by which the event came that is being handled; empty where there is none
     */
    record Speaker(String job, Run run, String transport) {}

    RoundEvents(
            Speaker speaker,
            RoundRules rules,
            CoordinatorState state,
            SideOutput side,
            Collector<RoundStatus> out,
            CoordinatorMetrics metrics) {
        this.speaker = speaker;
        this.rules = rules;
        this.state = state;
        this.side = side;
        this.out = out;
        this.metrics = metrics;
    }

    /** The transport by which the event came that is being handled. */
    String transport() {
        return speaker.transport();
    }

    void plan() {
        side.emit(
                CoordinatorOutputs.PLANS,
                new RoundPlan(
                        speaker.job(),
                        switch (state.phase) {
                            case WAITING, OPEN -> RoundPlan.State.OPEN;
                            case FINISHED -> RoundPlan.State.FINISHED;
                            case ENDED -> RoundPlan.State.ENDED;
                        },
                        state.round,
                        state.roundEpoch,
                        state.modelRound,
                        state.modelEpoch,
                        rules.folding().kind(),
                        rules.patience().deadline().toMillis() / 1000.0,
                        state.restores,
                        speaker.run().id(),
                        state.phase == CoordinatorState.Phase.ENDED ? speaker.run().end() : ""));
    }

    void status(RoundStatus.State shown) {
        out.collect(RoundProgress.of(speaker.job(), state, shown));
    }

    /** An update counts, and a checkpoint from now on holds it. */
    void counted(Claim claim) {
        answer(transportOf(claim.trainer()), Sending.of(claim), Decision.of(Status.COMMITTED));
    }

    void duplicate(Claim claim) {
        state.duplicates++;
        metrics.duplicate();
        answer(transport(), Sending.of(claim), Decision.of(Status.DUPLICATE));
    }

    void rejected(Claim claim, Verdict.Reject reject) {
        rejected(transport(), claim, reject);
    }

    /** An update that was counted cannot be folded any more. */
    void lost(Claim claim, Verdict.Reject reject) {
        rejected(transportOf(claim.trainer()), claim, reject);
    }

    private String transportOf(String trainer) {
        return Optional.ofNullable(state.members.get(trainer)).map(Member::transport).orElse("");
    }

    private void rejected(String transport, Claim claim, Verdict.Reject reject) {
        state.rejected++;
        settle(claim.trainer(), claim.id(), reject.reason());
        answer(transport, Sending.of(claim), Decision.rejected(reject.reason(), reject.text()));
        deadLetter(
                new DeadLetter(
                        "coordinator",
                        claim.trainer(),
                        claim.round(),
                        claim.epoch(),
                        reject.reason(),
                        reject.text()));
    }

    /** A source could not use an input; what concerns an update is answered. */
    void rejected(TrainerEvent.InputRejected input) {
        DeadLetter letter = input.deadLetter();
        deadLetter(letter);
        Decision decision = Decision.rejected(letter.reason(), letter.text());
        if (!input.instance().isEmpty()) {
            answer(letter.trainer(), input.instance(), decision);
        } else if (input.answer()) {
            state.rejected++;
            RoundId id = new RoundId(letter.round(), letter.epoch());
            if (state.speaksOver(letter.trainer(), transport())) {
                settle(letter.trainer(), id, letter.reason());
            }
            answer(transport(), new Sending(letter.trainer(), id, input.attempt(), ""), decision);
        }
    }

    /** An update that is rejected for good is not waited for, though a mended one still counts. */
    private void settle(String trainer, RoundId id, RejectReason reason) {
        if (Admission.isFinal(reason)
                && state.phase == CoordinatorState.Phase.OPEN
                && state.id().equals(id)) {
            state.rejected(trainer);
        }
    }

    /** A source has room now for what it could not take. */
    void room(TrainerEvent.CapacityFreed room) {
        answer(
                transport(),
                new Sending(room.trainer(), room.round(), room.attempt(), ""),
                Decision.of(Status.RESEND));
    }

    /** The round is closed; this is what is in its model. */
    void ledger() {
        side.emit(
                CoordinatorOutputs.LEDGERS,
                new RoundLedger(
                        speaker.job(),
                        state.round,
                        state.roundEpoch,
                        state.epoch,
                        "",
                        state.counted.values().stream()
                                .map(AcceptedUpdate::claim)
                                .sorted(Comparator.comparing(Claim::trainer))
                                .map(
                                        c ->
                                                new Entry(
                                                        c.trainer(),
                                                        c.samples(),
                                                        "%08x".formatted(c.crc32c())))
                                .toList()));
    }

    void joined(ControlMessage message) {
        answer(message.trainer(), message.instance(), Decision.of(Status.JOINED));
    }

    void joinRejected(ControlMessage message, RejectReason reason, String text) {
        answer(message.trainer(), message.instance(), Decision.rejected(reason, text));
        deadLetter(new DeadLetter("control", message.trainer(), 0, 0, reason, text));
    }

    private void answer(String trainer, String instance, Decision decision) {
        RoundId now = new RoundId(state.round, state.epoch);
        send(
                transport(),
                Receipt.ofJoin(
                        speaker.job(),
                        speaker.run(),
                        trainer,
                        instance,
                        now,
                        state.restores,
                        decision));
    }

    private void answer(String transport, Sending sending, Decision decision) {
        send(transport, Receipt.ofUpdate(speaker.job(), speaker.run(), sending, decision));
    }

    private void send(String transport, Receipt receipt) {
        side.emit(CoordinatorOutputs.RECEIPTS, new OutboundReceipt(transport, receipt));
    }

    private void deadLetter(DeadLetter letter) {
        metrics.rejected(letter.reason());
        side.emit(CoordinatorOutputs.DEAD_LETTERS, letter);
    }
}
