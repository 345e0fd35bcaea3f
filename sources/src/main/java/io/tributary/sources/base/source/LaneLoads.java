// SPDX-License-Identifier: Apache-2.0

package io.tributary.sources.base.source;

import io.tributary.protocol.message.Topics;
import io.tributary.protocol.message.TrainerEvent;
import java.util.HashMap;
import java.util.Map;
import org.apache.flink.api.connector.source.SourceEvent;

/** How many updates have come by each lane of a reader. Not thread-safe. */
final class LaneLoads implements SourceEvent {

    private static final long serialVersionUID = 1L;

    private final Map<Integer, Long> updates = new HashMap<>();

    void count(TrainerEvent event) {
        if (event instanceof TrainerEvent.UpdateStaged staged) {
            updates.merge(Topics.lane(staged.claim().trainer()), 1L, Long::sum);
        }
    }

    /** What has come since this was called last. */
    LaneLoads take() {
        LaneLoads taken = new LaneLoads();
        taken.updates.putAll(updates);
        updates.clear();
        return taken;
    }

    boolean isEmpty() {
        return updates.isEmpty();
    }

    Map<Integer, Long> updates() {
        return updates;
    }
}
