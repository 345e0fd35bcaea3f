// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.coordinator;

import io.tributary.operators.coordinator.CoordinatorState.Phase;
import io.tributary.operators.optimizer.FedDynHistory;
import io.tributary.protocol.RejectReason;
import io.tributary.protocol.message.ControlMessage;
import io.tributary.protocol.message.Evaluation;
import io.tributary.protocol.message.Run;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Decides whose word about models counts, and what follows from it. */
@Policy
final class Evaluations {

    private static final Logger LOG = LoggerFactory.getLogger(Evaluations.class);

    private final Run run;

    /** The trainer's id that it uses; empty where the job has none. */
    private final String evaluator;

    private final RoundRules.Evaluation asking;
    private final Set<String> decisive;
    private final List<String> asked;
    private final long maxSamples;
    private final Goals goals;

    Evaluations(Run run, RoundRules rules) {
        this.asking = rules.evaluation();
        this.decisive = rules.decisiveInEvaluations();
        this.asked = rules.folding().algorithm().asks();
        this.maxSamples = rules.limits().maxSamples();
        this.run = run;
        this.evaluator = rules.evaluator();
        this.goals = new Goals(run, rules);
    }

    /** Why a message of type EVALUATION is not taken. */
    private record Reject(RejectReason reason, String why) {}

    /** Whether trainers are to be asked about the current model. */
    boolean due(CoordinatorState state) {
        return follows(state.modelRound) && !state.asking.about(state.base());
    }

    /** Whether trainers are asked about the model of a round. */
    boolean follows(int round) {
        return asks() && round % asking.every() == 0;
    }

    /** Whether trainers are asked at all; a job that is resumed may have ceased to. */
    boolean asks() {
        return asking.every() > 0;
    }

    /** Asks them. */
    void ask(CoordinatorState state, RoundEvents events) {
        state.evaluate(asking.share(), state.ranNanos + asking.deadline().toNanos());
        events.plan();
    }

    /** All that were asked have answered, or had the time to do it. */
    void summarize(CoordinatorState state, RoundEvents events) {
        Map<String, Double> means = state.measured.means();
        LOG.info(
                "model {}: {} of {} trainers have answered: {}",
                state.base(),
                state.asking.asked() - state.trainers.awaited(),
                state.asking.asked(),
                means);
        Set<String> missing = new TreeSet<>(asked);
        missing.removeAll(means.keySet());
        if (!missing.isEmpty()) {
            state.note =
                    "no trainer has said %s of model %s, which the algorithm needs; see algorithms.md for the trainers' part"
                            .formatted(String.join(", ", missing), state.base());
        } else if (means.isEmpty()) {
            state.note =
                    "no trainer has evaluated model %s (rounds.evaluate-every)"
                            .formatted(state.base());
        }
        if (!means.isEmpty()) {
            Evaluation found =
                    new Evaluation(run.id(), state.modelRound, state.modelEpoch, means, "");
            state.evaluated(found);
            goals.measured(found.round(), means, state);
            events.evaluated(found);
        }
        // Before another round opens, which has nothing to say yet.
        events.status();
        state.endEvaluation();
    }

    /**
     * Takes somebody's word about a model.
     *
     * @return whether there is something to show
     */
    boolean take(ControlMessage message, CoordinatorState state, RoundEvents events) {
        return asks() ? answer(message, state, events) : evaluated(message, state, events);
    }

    /** A trainer says it until the job asks for something else, so it may be known. */
    private boolean answer(ControlMessage message, CoordinatorState state, RoundEvents events) {
        String from = message.trainer();
        Evaluation said = message.evaluation();
        Optional<TrainerEntry> member =
                state.trainers
                        .member(from)
                        .filter(its -> its.instance().equals(message.instance()))
                        .filter(its -> state.trainers.speaksOver(from, events.transport()));
        if (member.isEmpty()) {
            events.evaluationRejected(
                    message,
                    RejectReason.UNKNOWN_TRAINER,
                    "trainers are asked (rounds.evaluate-every), and '%s' has not joined"
                            .formatted(from));
            return false;
        }
        boolean asked =
                state.phase == Phase.EVALUATING
                        && said.run().equals(run.id())
                        && said.model().equals(state.base())
                        && state.trainers.awaits(from);
        if (!asked) {
            return false;
        }
        boolean bad =
                !said.metrics().isEmpty() && (said.samples() < 1 || said.samples() > maxSamples);
        if (bad) {
            events.evaluationRejected(
                    message,
                    RejectReason.BAD_SAMPLES,
                    "it has %d samples, expected 1 to %d (rounds.max-samples)"
                            .formatted(said.samples(), maxSamples));
        } else {
            state.measured.add(metrics(said), said.samples(), member.get().group(), decisive);
        }
        state.trainers.settle(from);
        return true;
    }

    /** What counts of an answer; what the job can compute, it does not ask for. */
    private Map<String, Double> metrics(Evaluation said) {
        Map<String, Double> metrics = new TreeMap<>(said.metrics());
        if (decisive.contains(FedDynHistory.INVERSE_SAMPLES) && said.samples() > 0) {
            metrics.put(FedDynHistory.INVERSE_SAMPLES, 1.0 / said.samples());
        }
        return metrics;
    }

    /**
     * Takes the evaluator's word. The same word again is shown again, since it may not have been
     * seen, but written down once.
     *
     * @return whether there is something to show
     */
    private boolean evaluated(ControlMessage message, CoordinatorState state, RoundEvents events) {
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

    /** A round closes; what its trainers have measured counts where nobody evaluates models. */
    void closing(CoordinatorState state) {
        int before = state.goal.close();
        if (evaluator.isEmpty() && !asks()) {
            goals.measured(state.round, state.measured.means(), state);
        } else if (!evaluator.isEmpty() && before > 0 && state.goal.best().isEmpty()) {
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
