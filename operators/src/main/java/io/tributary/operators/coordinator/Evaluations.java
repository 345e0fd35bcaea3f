// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.coordinator;

import io.tributary.protocol.RejectReason;
import io.tributary.protocol.message.ControlMessage;
import io.tributary.protocol.message.Evaluation;
import io.tributary.protocol.message.Run;
import java.util.Optional;

/** Decides whose word about models counts, and what follows from it. */
@Policy
final class Evaluations {

    private final Run run;

    /** The trainer's id that it uses; empty where the job has none. */
    private final String evaluator;

    private final Goals goals;

    Evaluations(Run run, RoundRules rules) {
        this.run = run;
        this.evaluator = rules.evaluator();
        this.goals = new Goals(run, rules);
    }

    /** Why a message of type EVALUATION is not taken. */
    private record Reject(RejectReason reason, String why) {}

    /**
     * Takes the evaluator's word. The same word again is shown again, since it may not have been
     * seen, but written down once.
     *
     * @return whether there is something to show
     */
    boolean take(ControlMessage message, CoordinatorState state, RoundEvents events) {
        Evaluation said = message.evaluation();
        Optional<Reject> reject = judge(message.trainer(), said, state);
        if (reject.isPresent()) {
            events.evaluationRejected(message, reject.get().reason(), reject.get().why());
            return false;
        }
        if (state.evaluation().filter(said::equals).isEmpty()) {
            state.evaluated(said);
            goals.measured(said.round(), said.metrics(), state);
            if (!said.stop().isEmpty()) {
                state.enough(run, "the evaluator: " + said.stop());
            }
            events.evaluated(said);
        }
        return true;
    }

    private Optional<Reject> judge(String from, Evaluation said, CoordinatorState state) {
        if (!from.equals(evaluator)) {
            return Optional.of(
                    new Reject(
                            RejectReason.UNKNOWN_TRAINER,
                            evaluator.isEmpty()
                                    ? "the job has no evaluator; name it in rounds.evaluator"
                                    : "the job's evaluator is '%s' (rounds.evaluator)"
                                            .formatted(evaluator)));
        }
        if (!said.run().equals(run.id())) {
            return Optional.of(
                    new Reject(RejectReason.STALE_EPOCH, "the model is of another run of the job"));
        }
        if (!state.made(said.model())) {
            return Optional.of(
                    new Reject(
                            RejectReason.STALE_EPOCH,
                            "the job knows no such model; the newest is %s"
                                    .formatted(state.base())));
        }
        boolean older = state.evaluation().filter(e -> e.round() > said.round()).isPresent();
        return older
                ? Optional.of(
                        new Reject(
                                RejectReason.LATE,
                                "a newer model has been evaluated, that of round %d"
                                        .formatted(state.evaluation().orElseThrow().round())))
                : Optional.empty();
    }

    /** The job begins, or goes on, maybe as another run. */
    void begin(CoordinatorState state) {
        goals.begin(state);
    }

    /** A round closes; what its trainers have measured counts where there is no evaluator. */
    void closing(CoordinatorState state) {
        int before = state.goal.close();
        if (evaluator.isEmpty()) {
            goals.measured(state.round, state.measured.means(), state);
        } else if (before > 0 && state.goal.best().isEmpty()) {
            goals.missing("the evaluator '%s'".formatted(evaluator), state);
        }
    }

    /** Whether no more rounds are needed. */
    boolean enough(CoordinatorState state) {
        return goals.enough(state);
    }

    /**
     * Whether the job need not wait for the evaluator any more: it has none, or it has done all.
     */
    boolean complete(CoordinatorState state) {
        return evaluator.isEmpty()
                || state.evaluation().filter(e -> e.model().equals(state.base())).isPresent();
    }
}
