// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.coordinator;

import io.tributary.operators.coordinator.CoordinatorState.AcceptedUpdate;
import io.tributary.operators.coordinator.CoordinatorState.Phase;
import io.tributary.protocol.message.RoundStatus;
import io.tributary.protocol.message.RoundStatus.GroupStatus;
import java.util.Map;
import java.util.Objects;
import java.util.TreeMap;

/** What the world is told about a round's progress. Pure. */
@Policy
final class RoundProgress {

    private RoundProgress() {}

    static RoundStatus of(String job, CoordinatorState state, RoundStatus.State shown) {
        Map<String, GroupStatus> groups = new TreeMap<>();
        for (AcceptedUpdate update : state.counted.values()) {
            groups.merge(update.group(), new GroupStatus(1, 1), RoundProgress::add);
        }
        boolean between = state.phase != Phase.OPEN;
        (between ? state.members.keySet() : state.awaited)
                .stream()
                        .map(state.members::get)
                        .filter(Objects::nonNull)
                        .forEach(
                                m ->
                                        groups.merge(
                                                m.group(),
                                                new GroupStatus(0, 1),
                                                RoundProgress::add));
        return new RoundStatus(
                job,
                state.round,
                state.roundEpoch,
                shown,
                state.counted.size(),
                state.counted.size() + (between ? state.members.size() : state.awaited.size()),
                groups,
                state.rejected,
                state.duplicates);
    }

    private static GroupStatus add(GroupStatus a, GroupStatus b) {
        return new GroupStatus(a.updates() + b.updates(), a.expected() + b.expected());
    }
}
