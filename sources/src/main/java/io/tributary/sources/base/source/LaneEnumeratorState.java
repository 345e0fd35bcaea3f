// SPDX-License-Identifier: Apache-2.0

package io.tributary.sources.base.source;

import java.util.List;

/**
 * What an enumerator remembers.
 *
 * @param unassigned splits that no reader has
 */
public record LaneEnumeratorState(List<LaneSplit> unassigned) {

    public LaneEnumeratorState {
        unassigned = List.copyOf(unassigned);
    }
}
