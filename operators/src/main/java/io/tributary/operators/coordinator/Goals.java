// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.coordinator;

import io.tributary.operators.coordinator.CoordinatorState.Phase;
import io.tributary.operators.coordinator.GoalState.Best;
import io.tributary.operators.coordinator.RoundRules.Better;
import io.tributary.protocol.message.Run;
import java.time.Duration;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;

/** Decides whether a job has reached what it is run for before its last round. */
@Policy
final class Goals {

    private final Run run;
    private final RoundRules rules;
    private final RoundRules.Goal goal;

    Goals(Run run, RoundRules rules) {
        this.run = run;
        this.rules = rules;
        this.goal = rules.goal();
    }

    /** The job begins, or goes on, maybe as another run. */
    void begin(CoordinatorState state) {
        state.judge(run, rules.rounds());
    }

    /**
     * Something was measured of a round's model, or in a round.
     *
     * @param metrics by name
     */
    void measured(int round, Map<String, Double> metrics, CoordinatorState state) {
        if (goal.metric().isEmpty() || state.enough(run)) {
            return;
        }
        Double value = metrics.get(goal.metric());
        if (value == null) {
            state.note =
                    "nobody has reported '%s' (rounds.metric) in round %d; reported is %s"
                            .formatted(goal.metric(), round, metrics.keySet());
            return;
        }
        Optional<Best> best = state.goal.best();
        if (best.isEmpty() || better(value, best.get().value())) {
            state.goal.best(new Best(value, round));
        }
        if (goal.target() != null && !better(goal.target(), value)) {
            state.enough(
                    run,
                    "%s is %s in round %d, the target is %s"
                            .formatted(goal.metric(), value, round, goal.target()));
        } else if (goal.noImprovement() > 0
                && round - state.goal.best().orElseThrow().round() >= goal.noImprovement()) {
            state.enough(
                    run,
                    "%s has not become better than %s of round %d for %d rounds"
                            .formatted(
                                    goal.metric(),
                                    state.goal.best().get().value(),
                                    state.goal.best().get().round(),
                                    round - state.goal.best().get().round()));
        }
    }

    private boolean better(double one, double other) {
        return goal.better() == Better.HIGHER ? one > other : one < other;
    }

    /** Nothing has been measured that should have been. */
    void missing(String who, CoordinatorState state) {
        if (!goal.metric().isEmpty() && !state.enough(run)) {
            state.note = "%s has not reported '%s' (rounds.metric)".formatted(who, goal.metric());
        }
    }

    /** Looks at the time, and says whether no more rounds are needed. */
    boolean enough(CoordinatorState state) {
        boolean over =
                !goal.timeLimit().isZero()
                        && state.ranNanos - state.goal.since() >= goal.timeLimit().toNanos();
        // The last round ends the job by itself.
        boolean last = state.phase == Phase.OPEN && state.round >= rules.rounds();
        if (over && !last && !state.enough(run)) {
            state.enough(
                    run,
                    "the job has run for %s (rounds.time-limit)"
                            .formatted(shown(goal.timeLimit())));
        }
        return state.enough(run);
    }

    /** As 8h or 1h30m. */
    private static String shown(Duration time) {
        return time.toString().substring("PT".length()).toLowerCase(Locale.ROOT);
    }
}
