// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.coordinator;

import java.util.List;
import java.util.Set;

/** Decides when a round opens and ends. */
@Policy
final class RoundLifecycle {

    private final RoundRules rules;
    private final Evaluations evaluations;

    RoundLifecycle(RoundRules rules, Evaluations evaluations) {
        this.rules = rules;
        this.evaluations = evaluations;
    }

    /** What is to be done with the round now. */
    enum Verdict {
        NOTHING,
        EVALUATE,
        EVALUATED,
        OPEN,
        CLOSE,
        ABANDON,
        FINISH,
        END
    }

    Verdict judge(CoordinatorState state) {
        long now = state.ranNanos;
        return switch (state.phase) {
            case WAITING -> waiting(state);
            case EVALUATING ->
                    state.trainers.awaited() == 0 || now >= state.deadline || !evaluations.asks()
                            ? Verdict.EVALUATED
                            : Verdict.NOTHING;
            case OPEN -> {
                boolean quorum = state.trainers.counted() >= rules.quorum().updates();
                if (quorum && state.trainers.awaited() == 0) {
                    yield Verdict.CLOSE;
                }
                if (state.deadline == 0 || now < state.deadline) {
                    yield Verdict.NOTHING;
                }
                yield quorum ? Verdict.CLOSE : Verdict.ABANDON;
            }
            case FINISHED ->
                    state.trainers.members() == 0 && evaluations.complete(state)
                                    || now >= state.endsAt
                            ? Verdict.END
                            : Verdict.NOTHING;
            case CLOSING, ENDED -> Verdict.NOTHING;
        };
    }

    private Verdict waiting(CoordinatorState state) {
        boolean there = state.trainers.members() >= rules.quorum().trainers();
        if (there && evaluations.due(state)) {
            return Verdict.EVALUATE;
        }
        if (evaluations.enough(state) || state.modelRound >= rules.rounds()) {
            return Verdict.FINISH;
        }
        return there ? Verdict.OPEN : Verdict.NOTHING;
    }

    /**
     * Looks whether a job can go on as it is configured now.
     *
     * @throws IllegalArgumentException when not, with what to do
     */
    void requireSame(CoordinatorState state) {
        requireSameSets(state);
        requireSameWay(state);
        requireSameSlots(state);
    }

    /** A model's file has its sets, so models of before would have other tensors. */
    private void requireSameSets(CoordinatorState state) {
        String before = RoundRules.Folding.sets(state.way);
        String now = RoundRules.Folding.sets(rules.folding().way());
        if (!state.way.isEmpty() && !before.equals(now)) {
            throw new IllegalArgumentException(
                    "the savepoint is of an algorithm with tensor set %s, this job's has %s; resume with the algorithm of before, or submit a new job whose model.initial is the newest model"
                            .formatted(before, now));
        }
    }

    /** Updates that were folded would be folded again, or those that were kept never. */
    private void requireSameWay(CoordinatorState state) {
        String way = rules.folding().way();
        boolean matters =
                state.phase == CoordinatorState.Phase.OPEN
                        || state.phase == CoordinatorState.Phase.CLOSING;
        if (matters && !state.way.isEmpty() && !state.way.equals(way)) {
            throw new IllegalArgumentException(
                    "round %s is open and is %s, this job's rounds are %s; resume with the algorithm and the timing of before until the round has closed"
                            .formatted(state.id(), state.way, way));
        }
    }

    /**
     * What an optimizer remembers means nothing to another.
     *
     * @throws IllegalArgumentException when the job's algorithm remembers something else than
     *     before
     */
    void requireSameSlots(CoordinatorState state) {
        List<String> now = rules.folding().algorithm().optimizer().slots();
        List<String> before = state.slots;
        if (!before.isEmpty() && !Set.copyOf(before).equals(Set.copyOf(now))) {
            throw new IllegalArgumentException(
                    "the savepoint is of an algorithm that remembers %s, and this job's remembers %s; resume with the algorithm of before, or submit a new job whose model.initial is the newest model"
                            .formatted(before, now));
        }
    }

    /** When a job whose last round closes now ends at the latest, in the job's time. */
    long end(CoordinatorState state) {
        return state.ranNanos + rules.patience().linger().toNanos();
    }

    /** When a round opened now ends at the latest, in the job's time; 0 means never. */
    long deadline(CoordinatorState state) {
        return rules.patience().deadline().isZero()
                ? 0
                : state.ranNanos + rules.patience().deadline().toNanos();
    }
}
