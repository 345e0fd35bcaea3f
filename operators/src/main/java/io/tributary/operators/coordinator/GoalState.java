// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.coordinator;

import com.fasterxml.jackson.annotation.JsonAutoDetect;
import io.tributary.protocol.message.Run;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/** How far a run has come towards its goal. Mutable; a part of {@link CoordinatorState}. */
@JsonAutoDetect(
        fieldVisibility = JsonAutoDetect.Visibility.ANY,
        getterVisibility = JsonAutoDetect.Visibility.NONE,
        isGetterVisibility = JsonAutoDetect.Visibility.NONE)
final class GoalState {

    /**
     * The best value of the metric that the run is judged by.
     *
     * @param value how good
     * @param round whose
     */
    record Best(double value, int round) {}

    /** The run; empty where there was none. */
    private String run = "";

    /** When it began, in the job's time, ns. */
    private long since;

    /** How many of its rounds have closed. */
    private int closed;

    /** At most one. */
    private List<Best> bests = new ArrayList<>();

    /** Begins anew for another run. Returns whether it is another. */
    boolean begin(Run now, long ranNanos) {
        if (run.equals(now.id())) {
            return false;
        }
        run = now.id();
        since = ranNanos;
        closed = 0;
        bests = new ArrayList<>();
        return true;
    }

    /** A round of the run closes. Returns how many have closed before. */
    int close() {
        return closed++;
    }

    long since() {
        return since;
    }

    Optional<Best> best() {
        return bests.stream().findAny();
    }

    void best(Best best) {
        bests = new ArrayList<>(List.of(best));
    }
}
