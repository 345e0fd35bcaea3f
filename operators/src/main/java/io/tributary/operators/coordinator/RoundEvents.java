// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.coordinator;

import io.tributary.operators.coordinator.Admission.Verdict;
import io.tributary.operators.coordinator.CoordinatorState.AcceptedUpdate;
import io.tributary.protocol.RejectReason;
import io.tributary.protocol.message.Claim;
import io.tributary.protocol.message.ControlMessage;
import io.tributary.protocol.message.DeadLetter;
import io.tributary.protocol.message.Receipt;
import io.tributary.protocol.message.Receipt.Status;
import io.tributary.protocol.message.RoundId;
import io.tributary.protocol.message.RoundLedger;
import io.tributary.protocol.message.RoundLedger.Entry;
import io.tributary.protocol.message.RoundPlan;
import io.tributary.protocol.message.RoundStatus;
import io.tributary.protocol.message.Run;
import io.tributary.protocol.message.TrainerEvent;
import java.util.Comparator;
import org.apache.flink.util.Collector;
import org.apache.flink.util.OutputTag;

/** Tells trainers, operators and the metrics what was decided. */
final class RoundEvents {

    private final String job;
    private final Run run;
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

    RoundEvents(
            String job,
            Run run,
            RoundRules rules,
            CoordinatorState state,
            SideOutput side,
            Collector<RoundStatus> out,
            CoordinatorMetrics metrics) {
        this.job = job;
        this.run = run;
        this.rules = rules;
        this.state = state;
        this.side = side;
        this.out = out;
        this.metrics = metrics;
    }

    void plan() {
        side.emit(
                CoordinatorOutputs.PLANS,
                new RoundPlan(
                        job,
                        switch (state.phase) {
                            case WAITING, OPEN -> RoundPlan.State.OPEN;
                            case FINISHED -> RoundPlan.State.FINISHED;
                            case ENDED -> RoundPlan.State.ENDED;
                        },
                        state.round,
                        state.roundEpoch,
                        state.modelRound,
                        state.modelEpoch,
                        rules.kind(),
                        rules.deadline().toMillis() / 1000.0,
                        state.restores,
                        run.id(),
                        state.phase == CoordinatorState.Phase.ENDED ? run.end() : ""));
    }

    void status(RoundStatus.State shown) {
        out.collect(RoundProgress.of(job, state, shown));
    }

    void counted(Claim claim) {
        receipt(claim, Status.COMMITTED, RejectReason.NONE, "");
    }

    void duplicate(Claim claim) {
        state.duplicates++;
        metrics.duplicate();
        receipt(claim, Status.DUPLICATE, RejectReason.NONE, "");
    }

    void rejected(Claim claim, Verdict.Reject reject) {
        state.rejected++;
        settle(claim.trainer(), claim.id(), reject.reason());
        receipt(claim, Status.REJECTED, reject.reason(), reject.text());
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
    void refused(TrainerEvent.InputRejected refused) {
        DeadLetter letter = refused.deadLetter();
        deadLetter(letter);
        if (!refused.instance().isEmpty()) {
            answer(
                    letter.trainer(),
                    refused.instance(),
                    Status.REJECTED,
                    letter.reason(),
                    letter.text(),
                    "");
        } else if (refused.answer()) {
            state.rejected++;
            RoundId id = new RoundId(letter.round(), letter.epoch());
            settle(letter.trainer(), id, letter.reason());
            receipt(
                    letter.trainer(),
                    id,
                    refused.attempt(),
                    "",
                    Status.REJECTED,
                    letter.reason(),
                    letter.text());
        }
    }

    /** An update that is refused for good is not waited for, though a mended one still counts. */
    private void settle(String trainer, RoundId id, RejectReason reason) {
        if (Admission.isFinal(reason)
                && state.phase == CoordinatorState.Phase.OPEN
                && state.id().equals(id)) {
            state.refused(trainer);
        }
    }

    /** A source has room now for what it could not take. */
    void room(TrainerEvent.CapacityFreed room) {
        receipt(
                room.trainer(),
                room.round(),
                room.attempt(),
                "",
                Status.RESEND,
                RejectReason.NONE,
                "");
    }

    /** The round is closed; this is what is in its model. */
    void ledger() {
        side.emit(
                CoordinatorOutputs.LEDGERS,
                new RoundLedger(
                        job,
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
        answer(
                message.trainer(),
                message.instance(),
                Status.JOINED,
                RejectReason.NONE,
                "",
                run.token(message.trainer(), message.instance()));
    }

    void joinRefused(ControlMessage message, RejectReason reason, String text) {
        answer(message.trainer(), message.instance(), Status.REJECTED, reason, text, "");
        deadLetter(new DeadLetter("control", message.trainer(), 0, 0, reason, text));
    }

    private void answer(
            String trainer,
            String instance,
            Status status,
            RejectReason reason,
            String text,
            String token) {
        side.emit(
                CoordinatorOutputs.RECEIPTS,
                new Receipt(
                        job,
                        run.id(),
                        trainer,
                        instance,
                        state.round,
                        state.epoch,
                        0,
                        "",
                        state.restores,
                        status,
                        reason,
                        text,
                        token));
    }

    private void receipt(Claim claim, Status status, RejectReason reason, String text) {
        receipt(
                claim.trainer(),
                claim.id(),
                claim.attempt(),
                Receipt.contentId(claim.crc32c()),
                status,
                reason,
                text);
    }

    private void receipt(
            String trainer,
            RoundId id,
            long attempt,
            String contentId,
            Status status,
            RejectReason reason,
            String text) {
        side.emit(
                CoordinatorOutputs.RECEIPTS,
                new Receipt(
                        job,
                        run.id(),
                        trainer,
                        "",
                        id.round(),
                        id.epoch(),
                        attempt,
                        contentId,
                        0,
                        status,
                        reason,
                        text,
                        ""));
    }

    private void deadLetter(DeadLetter letter) {
        metrics.rejected(letter.reason());
        side.emit(CoordinatorOutputs.DEAD_LETTERS, letter);
    }
}
