// SPDX-License-Identifier: Apache-2.0

package io.tributary.shm.flow;

import org.apache.flink.api.connector.source.SourceSplit;

/**
 * A lane that one reader reads. It has no position: what was lost is sent again.
 *
 * @param lane its number
 * @param fresh whether the job begins with it rather than being restored; what an earlier run left
 *     is worth nothing then
 */
public record LaneSplit(int lane, boolean fresh) implements SourceSplit {

    @Override
    public String splitId() {
        return "lane-" + lane;
    }

    /** The same, as it goes into a checkpoint. */
    LaneSplit begun() {
        return new LaneSplit(lane, false);
    }
}
