// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.coordinator;

/** Decides when a round opens and ends. Pure. */
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
        OPEN,
        CLOSE,
        ABANDON,
        FINISH,
        END
    }

    Verdict judge(CoordinatorState state) {
        long now = state.ranNanos;
        return switch (state.phase) {
            case WAITING ->
                    evaluations.enough(state)
                            ? Verdict.FINISH
                            : state.trainers.members() >= rules.quorum().trainers()
                                    ? Verdict.OPEN
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

    /**
     * Updates that were folded would be folded again, or those that were kept never.
     *
     * @throws IllegalArgumentException when a round goes on in another way than it began
     */
    void requireSameWay(CoordinatorState state) {
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
