// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.coordinator;

import io.tributary.operators.coordinator.CoordinatorState.Phase;
import io.tributary.protocol.message.RoundStatus;
import io.tributary.protocol.message.RoundStatus.GroupStatus;
import java.util.Map;
import java.util.TreeMap;

/** What the world is told about a round's progress. */
@Policy
final class RoundProgress {

    /** The most summaries of groups in a status, which is sent at each change. */
    private static final int MAX_SUMMARIES = 1000;

    private RoundProgress() {}

    static RoundStatus of(String job, CoordinatorState state, RoundStatus.State shown) {
        Trainers trainers = state.trainers;
        boolean evaluating = state.phase == Phase.EVALUATING;
        boolean between = state.phase != Phase.OPEN && !evaluating;
        // The round that is closing is not the one that is shown.
        boolean closing = state.phase == Phase.CLOSING && shown == RoundStatus.State.WAITING;
        int counted =
                evaluating
                        ? state.asking.asked() - trainers.awaited()
                        : closing ? 0 : trainers.counted();
        boolean told = measured(shown) && state.measured.size() <= MAX_SUMMARIES;
        Map<String, GroupStatus> groups = new TreeMap<>();
        trainers.groups()
                .forEach(
                        (name, group) -> {
                            int missing = between ? group.members() : group.awaited();
                            int its =
                                    evaluating
                                            ? Math.max(0, group.asked() - missing)
                                            : closing ? 0 : group.counted();
                            if (its + missing > 0) {
                                groups.put(
                                        name,
                                        new GroupStatus(
                                                its,
                                                its + missing,
                                                told ? state.measured.summaries(name) : Map.of()));
                            }
                        });
        return new RoundStatus(
                job,
                state.round,
                state.roundEpoch,
                shown,
                counted,
                counted + (between ? trainers.members() : trainers.awaited()),
                groups,
                state.rejected,
                state.duplicates,
                measured(shown) ? state.measured.means() : Map.of(),
                state.evaluation().orElse(null),
                measured(shown) ? state.measured.summaries() : Map.of(),
                state.note);
    }

    /** Whether the round that is shown is the one that trainers measured something in. */
    private static boolean measured(RoundStatus.State shown) {
        return shown != RoundStatus.State.WAITING && shown != RoundStatus.State.FINISHED;
    }
}
