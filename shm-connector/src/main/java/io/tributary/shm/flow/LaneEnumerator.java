// SPDX-License-Identifier: Apache-2.0

package io.tributary.shm.flow;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.function.Predicate;
import java.util.stream.Stream;
import org.apache.flink.api.connector.source.ReaderInfo;
import org.apache.flink.api.connector.source.SplitEnumerator;
import org.apache.flink.api.connector.source.SplitEnumeratorContext;
import org.apache.flink.api.connector.source.SplitsAssignment;

/**
 * Deals the lanes out evenly once all readers are there. After a failure a lane goes back to the
 * host where it was read before, because what was staged from it lies there. Where each host has
 * lanes of its own, its readers share them; those of a host that has no reader wait.
 */
final class LaneEnumerator implements SplitEnumerator<LaneSplit, LaneEnumeratorState> {

    private final SplitEnumeratorContext<LaneSplit> context;
    private final int lanesOfEachHost;
    private final boolean onEachHost;
    private final List<LaneSplit> unassigned;

    /** Which lanes have a reader: none is to have two. */
    private final Set<Lane> assigned = new HashSet<>();

    private record Lane(int lane, String host) {

        static Lane of(LaneSplit split) {
            return new Lane(split.lane(), split.host());
        }
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
        take(splits);
        assign();
    }

    /** After a failure it has lanes of before, which may not be its own any more. */
    @Override
    public void addReader(int subtask) {
        take(context.registeredReaders().get(subtask).getReportedSplitsOnRegistration());
        assign();
    }

    private void take(List<LaneSplit> splits) {
        splits.stream().map(Lane::of).forEach(assigned::remove);
        unassigned.addAll(splits);
    }

    private void assign() {
        Map<Integer, ReaderInfo> readers = new TreeMap<>(context.registeredReaders());
        if (readers.size() < context.currentParallelism()) {
            return;
        }
        if (onEachHost) {
            readers.values().stream()
                    .map(ReaderInfo::getLocation)
                    .distinct()
                    .forEach(this::addLanes);
        }
        Map<Integer, List<LaneSplit>> assignment = new TreeMap<>();
        readers.keySet().forEach(reader -> assignment.put(reader, new ArrayList<>()));
        int share = unassigned.size() / readers.size();
        List<LaneSplit> waiting = new ArrayList<>();
        unassigned.sort(
                Comparator.comparing((LaneSplit split) -> split.host().isEmpty())
                        .thenComparing(LaneSplit::lane));
        for (LaneSplit split : unassigned) {
            Optional<Integer> same =
                    fewest(assignment, reader -> at(readers, reader).equals(split.host()));
            boolean there =
                    same.isPresent() && (onEachHost || assignment.get(same.get()).size() < share);
            Optional<Integer> reader = there || onEachHost ? same : fewest(assignment, any -> true);
            if (reader.isPresent()) {
                assignment.get(reader.get()).add(split.at(at(readers, reader.get())));
            } else {
                waiting.add(split);
            }
        }
        unassigned.clear();
        unassigned.addAll(waiting);
        assignment.values().removeIf(List::isEmpty);
        assignment.values().stream().flatMap(List::stream).map(Lane::of).forEach(assigned::add);
        if (!assignment.isEmpty()) {
            context.assignSplits(new SplitsAssignment<>(assignment));
        }
    }

    private static String at(Map<Integer, ReaderInfo> readers, int reader) {
        return readers.get(reader).getLocation();
    }

    private static Optional<Integer> fewest(
            Map<Integer, List<LaneSplit>> assignment, Predicate<Integer> condition) {
        return assignment.keySet().stream()
                .filter(condition)
                .min(Comparator.comparingInt(reader -> assignment.get(reader).size()));
    }

    /** Lanes of a host that is new. */
    private void addLanes(String host) {
        for (int i = 0; i < lanesOfEachHost; i++) {
            LaneSplit lane = new LaneSplit(i, true, host);
            boolean there =
                    Stream.concat(assigned.stream(), unassigned.stream().map(Lane::of))
                            .anyMatch(Lane.of(lane)::equals);
            if (!there) {
                unassigned.add(lane);
            }
        }
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
