// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.coordinator;

/** Decides when a round opens and ends. Pure. */
@Policy
final class RoundLifecycle {

    private final RoundRules rules;

    RoundLifecycle(RoundRules rules) {
        this.rules = rules;
    }

    /** What is to be done with the round now. */
    enum Verdict {
        NOTHING,
        OPEN,
        CLOSE,
        ABANDON,
        END
    }

    Verdict judge(CoordinatorState state) {
        long now = state.ranNanos;
        return switch (state.phase) {
            case WAITING ->
                    state.members.size() >= rules.quorum().trainers()
                            ? Verdict.OPEN
                            : Verdict.NOTHING;
            case OPEN -> {
                boolean quorum = state.counted.size() >= rules.quorum().updates();
                if (quorum && state.awaited.isEmpty()) {
                    yield Verdict.CLOSE;
                }
                if (state.deadline == 0 || now < state.deadline) {
                    yield Verdict.NOTHING;
                }
                yield quorum ? Verdict.CLOSE : Verdict.ABANDON;
            }
            case FINISHED ->
                    state.members.isEmpty() || now >= state.endsAt ? Verdict.END : Verdict.NOTHING;
            case ENDED -> Verdict.NOTHING;
        };
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
