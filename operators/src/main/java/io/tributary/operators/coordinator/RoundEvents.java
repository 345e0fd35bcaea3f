// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.coordinator;

import io.tributary.operators.aggregate.AggregatorInput;
import io.tributary.operators.coordinator.Admission.Verdict;
import io.tributary.operators.coordinator.TrainerEntry.Counted;
import io.tributary.operators.model.LedgerPart;
import io.tributary.protocol.RejectReason;
import io.tributary.protocol.message.Claim;
import io.tributary.protocol.message.ControlMessage;
import io.tributary.protocol.message.DeadLetter;
import io.tributary.protocol.message.Evaluation;
import io.tributary.protocol.message.PayloadRef;
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
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/** Puts what was decided into words: messages to trainers and operators, commands, and the rest. */
@Policy
final class RoundEvents {

    private final String job;
    private final Run run;
    private final RoundRules rules;
    private final CoordinatorState state;
    private List<Effect> effects = new ArrayList<>();
    private String transport = "";

    /**
     * @param job the job
     * @param run the submission of it
     */
    RoundEvents(String job, Run run, RoundRules rules, CoordinatorState state) {
        this.job = job;
        this.run = run;
        this.rules = rules;
        this.state = state;
    }

    /**
     * An event is handled from now on.
     *
     * @param scheme of the transport by which it came, and by which it is answered; empty where
     *     there is none
     */
    void begin(String scheme) {
        transport = scheme;
        effects = new ArrayList<>();
    }

    /** What is to be done because of it. */
    List<Effect> effects() {
        return effects;
    }

    /** An entry has changed; without one it is forgotten. */
    void changed(String trainer, Optional<TrainerEntry> entry) {
        effects.add(
                entry.<Effect>map(its -> new Effect.Remember(trainer, its))
                        .orElseGet(() -> new Effect.Forget(trainer)));
    }

    /** An aggregator is told what to do. */
    void command(int level, AggregatorInput input) {
        effects.add(new Effect.Command(level, input));
    }

    /**
     * A payload is not needed any more.
     *
     * @param checkpointed whether it is until the next checkpoint has completed
     */
    void release(PayloadRef payload, boolean checkpointed) {
        if (payload.region()) {
            effects.add(new Effect.Release(payload, checkpointed));
        }
    }

    /** The transport by which the event came that is being handled. */
    String transport() {
        return transport;
    }

    void plan() {
        effects.add(
                new Effect.Announce(
                        new RoundPlan(
                                job,
                                switch (state.phase) {
                                    case EVALUATING -> RoundPlan.State.EVALUATING;
                                    case WAITING, OPEN, CLOSING -> RoundPlan.State.OPEN;
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
                                run.id(),
                                state.phase == CoordinatorState.Phase.ENDED ? run.end() : "",
                                rules.config(),
                                rules.folding().expected(),
                                state.phase == CoordinatorState.Phase.EVALUATING
                                        ? state.asking.who()
                                        : null,
                                rules.evaluation().every() == 0
                                        ? Map.of()
                                        : state.evaluation()
                                                .filter(its -> its.model().equals(state.base()))
                                                .map(Evaluation::metrics)
                                                .orElse(Map.of()))));
    }

    /** How the job stands. */
    void status() {
        status(
                switch (state.phase) {
                    case WAITING, CLOSING -> RoundStatus.State.WAITING;
                    case EVALUATING -> RoundStatus.State.EVALUATING;
                    case OPEN -> RoundStatus.State.OPEN;
                    case FINISHED, ENDED -> RoundStatus.State.FINISHED;
                });
    }

    /** How a round stands. */
    void status(RoundStatus.State shown) {
        effects.add(new Effect.Show(RoundProgress.of(job, state, shown)));
    }

    /** An update counts, and a checkpoint from now on holds it. */
    void counted(Claim claim) {
        answer(transportOf(claim.trainer()), Sending.of(claim), Decision.of(Status.COMMITTED));
    }

    void duplicate(Claim claim) {
        state.duplicates++;
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
        return state.trainers.member(trainer).map(TrainerEntry::transport).orElse("");
    }

    private void rejected(String way, Claim claim, Verdict.Reject reject) {
        state.rejected++;
        settle(claim.trainer(), claim.id(), reject.reason());
        answer(way, Sending.of(claim), Decision.rejected(reject.reason(), reject.text()));
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
            if (state.trainers.speaksOver(letter.trainer(), transport())) {
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
            state.trainers.settle(trainer);
        }
    }

    /** A source has room now for what it could not take. */
    void room(TrainerEvent.CapacityFreed room) {
        answer(
                transport(),
                new Sending(room.trainer(), room.round(), room.attempt(), ""),
                Decision.of(Status.RESEND));
    }

    /**
     * Part of what is in the model of a round that has ended.
     *
     * @param from the first of its updates, among those that count
     * @param to the one after its last
     */
    void ledger(Closing closing, int part, int from, int to, boolean last) {
        List<Entry> updates = new ArrayList<>();
        for (int place = from; place < to; place++) {
            Optional<String> trainer = state.trainers.at(place);
            Optional<Counted> update = state.trainers.update(place);
            if (trainer.isPresent() && update.isPresent()) {
                updates.add(
                        new Entry(
                                trainer.get(),
                                update.get().samples(),
                                "%08x".formatted(update.get().crc32c())));
            }
        }
        effects.add(
                new Effect.Record(
                        new LedgerPart(
                                new RoundLedger(
                                        job,
                                        closing.round().round(),
                                        closing.round().epoch(),
                                        closing.model().epoch(),
                                        "",
                                        closing.base().toString(),
                                        Math.max(closing.trainers(), state.trainers.counted()),
                                        last ? state.measured.summaries() : Map.of(),
                                        last ? state.measured.groups() : Map.of(),
                                        updates),
                                part,
                                last)));
    }

    void joined(ControlMessage message) {
        answer(message.trainer(), message.instance(), Decision.of(Status.JOINED));
    }

    void joinRejected(ControlMessage message, RejectReason reason, String text) {
        answer(message.trainer(), message.instance(), Decision.rejected(reason, text));
        deadLetter(new DeadLetter("control", message.trainer(), 0, 0, reason, text));
    }

    /** The evaluator has said something new. */
    void evaluated(Evaluation evaluation) {
        effects.add(new Effect.Evaluate(evaluation));
    }

    void evaluationRejected(ControlMessage message, RejectReason reason, String why) {
        RoundId model = message.evaluation().model();
        deadLetter(
                new DeadLetter(
                        "control",
                        message.trainer(),
                        model.round(),
                        model.epoch(),
                        reason,
                        "evaluation of model %s: %s".formatted(model, why)));
    }

    private void answer(String trainer, String instance, Decision decision) {
        RoundId now = new RoundId(state.round, state.epoch);
        send(
                transport(),
                Receipt.ofJoin(job, run, trainer, instance, now, state.restores, decision));
    }

    private void answer(String way, Sending sending, Decision decision) {
        send(way, Receipt.ofUpdate(job, run, sending, decision));
    }

    private void send(String way, Receipt receipt) {
        effects.add(new Effect.Answer(new OutboundReceipt(way, receipt)));
    }

    private void deadLetter(DeadLetter letter) {
        effects.add(new Effect.Report(letter));
    }
}
