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

    private RoundProgress() {}

    static RoundStatus of(String job, CoordinatorState state, RoundStatus.State shown) {
        Trainers trainers = state.trainers;
        boolean between = state.phase != Phase.OPEN;
        Map<String, GroupStatus> groups = new TreeMap<>();
        trainers.groups()
                .forEach(
                        (name, group) -> {
                            int missing = between ? group.members() : group.awaited();
                            if (group.counted() + missing > 0) {
                                groups.put(
                                        name,
                                        new GroupStatus(
                                                group.counted(), group.counted() + missing));
                            }
                        });
        return new RoundStatus(
                job,
                state.round,
                state.roundEpoch,
                shown,
                trainers.counted(),
                trainers.counted() + (between ? trainers.members() : trainers.awaited()),
                groups,
                state.rejected,
                state.duplicates);
    }
}
