// SPDX-License-Identifier: Apache-2.0

package io.tributary.sources.base.source;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import org.apache.flink.api.connector.source.ReaderInfo;
import org.apache.flink.api.connector.source.SourceEvent;
import org.apache.flink.api.connector.source.SplitEnumerator;
import org.apache.flink.api.connector.source.SplitEnumeratorContext;
import org.apache.flink.api.connector.source.SplitsAssignment;

/**
 * Deals the lanes out once all readers are there, by {@link LanePlacement}. Where each host has
 * lanes of its own, its readers share them; those of a host that has no reader wait.
 */
final class LaneEnumerator implements SplitEnumerator<LaneSplit, LaneEnumeratorState> {

    private final SplitEnumeratorContext<LaneSplit> context;
    private final int lanesOfEachHost;
    private final boolean onEachHost;

    /** Each lane once: after two failures in a row Flink brings some back twice. */
    private final Map<Lane, LaneSplit> unassigned = new LinkedHashMap<>();

    /** By each lane, since the job began or its job manager died. */
    private final Map<Integer, Long> updates = new TreeMap<>();

    /** Which lanes have a reader: none is to have two. */
    private final Set<Lane> assigned = new HashSet<>();

    /**
     * What makes it one lane.
     *
     * @param host empty where hosts share all lanes
     */
    private record Lane(int lane, String host) {}

    private Lane lane(LaneSplit split) {
        return new Lane(split.lane(), onEachHost ? split.host() : "");
    }

    /**
     * @param lanesOfEachHost 0 where hosts share all lanes
     */
    LaneEnumerator(
            SplitEnumeratorContext<LaneSplit> context,
            LaneEnumeratorState state,
            int lanesOfEachHost) {
        this.context = context;
        this.lanesOfEachHost = lanesOfEachHost;
        this.onEachHost = lanesOfEachHost > 0;
        state.unassigned().forEach(this::take);
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
    public void handleSourceEvent(int subtask, SourceEvent event) {
        if (event instanceof LaneLoads loads) {
            loads.updates().forEach((lane, count) -> updates.merge(lane, count, Long::sum));
        }
    }

    @Override
    public void addSplitsBack(List<LaneSplit> splits, int subtask) {
        splits.forEach(this::take);
        assign();
    }

    /** After a failure it has lanes of before, which may not be its own any more. */
    @Override
    public void addReader(int subtask) {
        List<LaneSplit> reported =
                context.registeredReaders().get(subtask).getReportedSplitsOnRegistration();
        reported.forEach(this::take);
        assign();
    }

    /** A lane that has been read is not fresh, even if its reader says so. */
    private void take(LaneSplit split) {
        assigned.remove(lane(split));
        unassigned.merge(lane(split), split, (a, b) -> a.fresh() ? b : a);
    }

    private void assign() {
        Map<Integer, ReaderInfo> readers = new TreeMap<>(context.registeredReaders());
        if (readers.size() < context.currentParallelism()) {
            return;
        }
        Map<Integer, String> hosts = new TreeMap<>();
        readers.forEach((reader, info) -> hosts.put(reader, info.getLocation()));
        LanePlacement placement =
                new LanePlacement(hosts, split -> updates.getOrDefault(split.lane(), 0L));
        List<LaneSplit> waiting = new ArrayList<>();
        if (onEachHost) {
            hosts.values().stream().distinct().forEach(this::addLanes);
        }
        Map<Integer, List<LaneSplit>> assignment =
                onEachHost
                        ? placement.where(unassigned.values(), waiting)
                        : placement.anywhere(unassigned.values());
        unassigned.clear();
        waiting.forEach(this::take);
        assignment.values().removeIf(List::isEmpty);
        assignment.values().stream().flatMap(List::stream).map(this::lane).forEach(assigned::add);
        if (!assignment.isEmpty()) {
            context.assignSplits(new SplitsAssignment<>(assignment));
        }
    }

    /** Lanes of a host that is new. */
    private void addLanes(String host) {
        for (int i = 0; i < lanesOfEachHost; i++) {
            LaneSplit lane = new LaneSplit(i, true, host);
            if (!assigned.contains(lane(lane))) {
                unassigned.putIfAbsent(lane(lane), lane);
            }
        }
    }

    @Override
    public LaneEnumeratorState snapshotState(long checkpoint) {
        return new LaneEnumeratorState(List.copyOf(unassigned.values()));
    }

    @Override
    public void close() {
        // Holds nothing.
    }
}
