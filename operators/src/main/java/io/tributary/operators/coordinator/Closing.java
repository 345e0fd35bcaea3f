// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.coordinator;

/** Decides when a round opens and ends. Pure. */
final class Closing {

    private final RoundRules rules;

    Closing(RoundRules rules) {
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

    /**
     * @param now ms since 1970
     */
    Verdict judge(CoordinatorState state, long now) {
        return switch (state.phase) {
            case WAITING ->
                    state.members.size() >= rules.minimumTrainers()
                            ? Verdict.OPEN
                            : Verdict.NOTHING;
            case OPEN -> {
                boolean quorum = state.counted.size() >= rules.quorum();
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

    /** When a job whose last round closes now ends at the latest, ms since 1970. */
    long end(long now) {
        return now + rules.linger().toMillis();
    }

    /** When a round opened now ends at the latest, ms since 1970; 0 means never. */
    long deadline(long now) {
        return rules.deadline().isZero() ? 0 : now + rules.deadline().toMillis();
    }
}
