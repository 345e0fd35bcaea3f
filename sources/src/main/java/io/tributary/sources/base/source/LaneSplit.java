// SPDX-License-Identifier: Apache-2.0

package io.tributary.sources.base.source;

import org.apache.flink.api.connector.source.SourceSplit;

/**
 * A lane that one reader reads. It has no position: what was lost is sent again.
 *
 * @param lane its number
 * @param fresh whether the job begins with it rather than being restored; what an earlier run left
 *     is worth nothing then
 * @param host where it is, or was, read; empty before that
 */
public record LaneSplit(int lane, boolean fresh, String host) implements SourceSplit {

    /** A lane that nobody has read yet. */
    public LaneSplit(int lane, boolean fresh) {
        this(lane, fresh, "");
    }

    @Override
    public String splitId() {
        return "lane-" + lane;
    }

    /** The same, to be read there. */
    LaneSplit at(String newHost) {
        return new LaneSplit(lane, fresh, newHost);
    }

    /** The same, as it goes into a checkpoint. */
    LaneSplit begun() {
        return new LaneSplit(lane, false, host);
    }
}
