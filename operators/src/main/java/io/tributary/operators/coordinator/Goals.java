// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.coordinator;

import io.tributary.operators.coordinator.CoordinatorState.Best;
import io.tributary.operators.coordinator.RoundRules.Better;
import io.tributary.protocol.message.Run;
import java.util.Map;
import java.util.Optional;

/** Decides whether a job has reached what it is run for before its last round. */
@Policy
final class Goals {

    private final Run run;
    private final RoundRules.Goal goal;

    Goals(Run run, RoundRules.Goal goal) {
        this.run = run;
        this.goal = goal;
    }

    /**
     * Something was measured of a round's model, or in a round.
     *
     * @param metrics by name
     */
    void measured(int round, Map<String, Double> metrics, CoordinatorState state) {
        if (goal.metric().isEmpty()) {
            return;
        }
        Double value = metrics.get(goal.metric());
        if (value == null) {
            state.note =
                    "nobody has reported '%s' (rounds.metric) in round %d; reported is %s"
                            .formatted(goal.metric(), round, metrics.keySet());
            return;
        }
        Optional<Best> best = state.best();
        if (best.isEmpty() || better(value, best.get().value())) {
            state.best(new Best(value, round));
        }
        if (goal.target() != null && !better(goal.target(), value)) {
            state.enough(
                    run,
                    "%s is %s in round %d, the target is %s"
                            .formatted(goal.metric(), value, round, goal.target()));
        } else if (goal.noImprovement() > 0
                && round - state.best().orElseThrow().round() >= goal.noImprovement()) {
            state.enough(
                    run,
                    "%s has not become better than %s of round %d for %d rounds"
                            .formatted(
                                    goal.metric(),
                                    state.best().get().value(),
                                    state.best().get().round(),
                                    round - state.best().get().round()));
        }
    }

    private boolean better(double one, double other) {
        return goal.better() == Better.HIGHER ? one > other : one < other;
    }

    /** Whether no more rounds are needed. */
    boolean reached(CoordinatorState state) {
        boolean over = !goal.timeLimit().isZero() && state.ranNanos >= goal.timeLimit().toNanos();
        if (over && !state.enough(run)) {
            state.enough(
                    run, "the job has run for %s (rounds.time-limit)".formatted(goal.timeLimit()));
        }
        return state.enough(run);
    }
}
