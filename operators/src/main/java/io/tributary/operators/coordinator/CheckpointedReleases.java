// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.coordinator;

import io.tributary.node.PayloadStore;
import io.tributary.protocol.message.PayloadRef;
import java.util.ArrayList;
import java.util.List;
import java.util.SortedMap;
import java.util.TreeMap;

/**
 * Releases a region once a checkpoint holds its fold. The order of the stream makes that simple: a
 * fold told before the checkpoint's barrier is in the checkpoint. Not thread-safe.
 */
final class CheckpointedReleases {

    private final PayloadStore regions;
    private final SortedMap<Long, List<PayloadRef>> byCheckpoint = new TreeMap<>();
    private List<PayloadRef> folded = new ArrayList<>();

    CheckpointedReleases(PayloadStore regions) {
        this.regions = regions;
    }

    /** All aggregators that need it have been told to fold or to forget it. */
    void whenCheckpointed(PayloadRef payload) {
        if (payload.region()) {
            folded.add(payload);
        }
    }

    /**
     * @return the regions to release after a restore of this checkpoint
     */
    List<PayloadRef> snapshot(long checkpoint) {
        byCheckpoint.put(checkpoint, folded);
        folded = new ArrayList<>();
        List<PayloadRef> all = new ArrayList<>();
        byCheckpoint.values().forEach(all::addAll);
        return all;
    }

    void completed(long checkpoint) {
        SortedMap<Long, List<PayloadRef>> done = byCheckpoint.headMap(checkpoint + 1);
        done.values().forEach(list -> list.forEach(regions::release));
        done.clear();
    }
}
