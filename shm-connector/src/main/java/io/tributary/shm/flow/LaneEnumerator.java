// SPDX-License-Identifier: Apache-2.0

package io.tributary.shm.flow;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import org.apache.flink.api.connector.source.SplitEnumerator;
import org.apache.flink.api.connector.source.SplitEnumeratorContext;
import org.apache.flink.api.connector.source.SplitsAssignment;

/** Deals the splits out in turn once all readers are there; the set of splits never changes. */
final class LaneEnumerator implements SplitEnumerator<LaneSplit, LaneEnumeratorState> {

    private final SplitEnumeratorContext<LaneSplit> context;
    private final List<LaneSplit> unassigned;

    LaneEnumerator(SplitEnumeratorContext<LaneSplit> context, LaneEnumeratorState state) {
        this.context = context;
        this.unassigned = new ArrayList<>(state.unassigned());
    }

    @Override
    public void start() {
        // Readers announce themselves.
    }

    @Override
    public void handleSplitRequest(int subtask, String host) {
        // Readers are given splits without asking.
    }

    @Override
    public void addSplitsBack(List<LaneSplit> splits, int subtask) {
        unassigned.addAll(splits);
        assign();
    }

    @Override
    public void addReader(int subtask) {
        assign();
    }

    private void assign() {
        List<Integer> readers =
                new ArrayList<>(new TreeSet<>(context.registeredReaders().keySet()));
        if (readers.size() < context.currentParallelism() || unassigned.isEmpty()) {
            return;
        }
        Map<Integer, List<LaneSplit>> assignment = new HashMap<>();
        for (int i = 0; i < unassigned.size(); i++) {
            assignment
                    .computeIfAbsent(readers.get(i % readers.size()), r -> new ArrayList<>())
                    .add(unassigned.get(i));
        }
        unassigned.clear();
        context.assignSplits(new SplitsAssignment<>(assignment));
    }

    @Override
    public LaneEnumeratorState snapshotState(long checkpoint) {
        return new LaneEnumeratorState(unassigned);
    }

    @Override
    public void close() {
        // Holds nothing.
    }
}
