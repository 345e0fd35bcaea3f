// SPDX-License-Identifier: Apache-2.0

package io.tributary.sources.base.source;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.IntStream;
import org.apache.flink.api.connector.source.ReaderInfo;
import org.apache.flink.api.connector.source.mocks.MockSplitEnumeratorContext;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class LaneEnumeratorTest {

    private static final int LANES = 16;

    private static LaneEnumeratorState lanes() {
        return new LaneEnumeratorState(
                IntStream.range(0, LANES).mapToObj(lane -> new LaneSplit(lane, true)).toList());
    }

    @Test
    void lanesAreDealtOutOnceAllReadersAreThereAndAgainWhenTheyComeBack() throws Exception {
        try (var context = new MockSplitEnumeratorContext<LaneSplit>(3);
                var enumerator = new LaneEnumerator(context, lanes(), 0)) {
            for (int reader = 0; reader < 3; reader++) {
                assertThat(context.getSplitsAssignmentSequence()).isEmpty();
                context.registerReader(new ReaderInfo(reader, "host"));
                enumerator.addReader(reader);
            }
            var assignment = context.getSplitsAssignmentSequence().get(0).assignment();
            Set<LaneSplit> dealt = new HashSet<>();
            assignment.values().forEach(dealt::addAll);
            assertThat(dealt).hasSize(LANES);
            assertThat(assignment.values()).allMatch(splits -> splits.size() >= 5);
            assertThat(enumerator.snapshotState(1).unassigned()).isEmpty();

            enumerator.addSplitsBack(assignment.get(1), 1);
            var again = context.getSplitsAssignmentSequence().get(1).assignment();
            assertThat(again.values().stream().mapToInt(List::size).sum())
                    .isEqualTo(assignment.get(1).size());
        }
    }

    private static final List<String> HOSTS = List.of("a", "b", "a", "b");

    private static void register(
            MockSplitEnumeratorContext<LaneSplit> context,
            LaneEnumerator enumerator,
            List<String> hosts,
            Map<Integer, List<LaneSplit>> reported) {
        for (int reader = 0; reader < hosts.size(); reader++) {
            context.registerReader(
                    ReaderInfo.createReaderInfo(
                            reader, hosts.get(reader), reported.getOrDefault(reader, List.of())));
            enumerator.addReader(reader);
        }
    }

    @Test
    void aLaneGoesBackToTheHostWhereItWasRead() throws Exception {
        Map<Integer, List<LaneSplit>> before = new HashMap<>();
        try (var context = new MockSplitEnumeratorContext<LaneSplit>(4);
                var enumerator = new LaneEnumerator(context, lanes(), 0)) {
            register(context, enumerator, HOSTS, Map.of());
            context.getSplitsAssignmentSequence()
                    .get(0)
                    .assignment()
                    .forEach(
                            (reader, splits) ->
                                    before.put(
                                            reader,
                                            splits.stream().map(LaneSplit::begun).toList()));
        }
        try (var context = new MockSplitEnumeratorContext<LaneSplit>(4);
                var enumerator =
                        new LaneEnumerator(context, new LaneEnumeratorState(List.of()), 0)) {
            // The same subtasks, on other hosts.
            List<String> hosts = List.of("b", "b", "a", "a");
            register(context, enumerator, hosts, before);
            var after = context.getSplitsAssignmentSequence().get(0).assignment();
            assertThat(after.values()).allMatch(splits -> splits.size() == 4);
            Map<Integer, String> was = new HashMap<>();
            before.values().stream()
                    .flatMap(List::stream)
                    .forEach(split -> was.put(split.lane(), split.host()));
            after.forEach(
                    (reader, splits) ->
                            assertThat(splits)
                                    .allMatch(
                                            split ->
                                                    was.get(split.lane())
                                                            .equals(hosts.get(reader))));
        }
    }

    @Test
    void eachHostHasLanesOfItsOwnAndThoseOfAHostThatIsGoneWait() throws Exception {
        Map<Integer, List<LaneSplit>> before = new HashMap<>();
        try (var context = new MockSplitEnumeratorContext<LaneSplit>(4);
                var enumerator =
                        new LaneEnumerator(context, new LaneEnumeratorState(List.of()), LANES)) {
            register(context, enumerator, HOSTS, Map.of());
            assertThat(context.getSplitsAssignmentSequence()).hasSize(1);
            var assignment = context.getSplitsAssignmentSequence().get(0).assignment();
            for (String host : List.of("a", "b")) {
                assertThat(
                                assignment.entrySet().stream()
                                        .filter(e -> HOSTS.get(e.getKey()).equals(host))
                                        .flatMap(e -> e.getValue().stream())
                                        .map(LaneSplit::lane))
                        .containsExactlyInAnyOrderElementsOf(
                                IntStream.range(0, LANES).boxed().toList());
            }
            assertThat(assignment.values().stream().flatMap(List::stream))
                    .allMatch(LaneSplit::fresh);
            assignment.forEach(
                    (reader, splits) ->
                            before.put(reader, splits.stream().map(LaneSplit::begun).toList()));
        }
        try (var context = new MockSplitEnumeratorContext<LaneSplit>(4);
                var enumerator =
                        new LaneEnumerator(context, new LaneEnumeratorState(List.of()), LANES)) {
            register(context, enumerator, List.of("a", "c", "c", "a"), before);
            var after = context.getSplitsAssignmentSequence().get(0).assignment();
            assertThat(after.get(0)).hasSize(LANES / 2).allMatch(split -> !split.fresh());
            assertThat(after.get(1)).hasSize(LANES / 2).allMatch(LaneSplit::fresh);
            assertThat(enumerator.snapshotState(1).unassigned())
                    .hasSize(LANES)
                    .allMatch(split -> split.host().equals("b") && !split.fresh());
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {0, LANES})
    void twoFailuresInARowGiveNoLaneTwoReaders(int lanesOfEachHost) throws Exception {
        Map<Integer, List<LaneSplit>> remembered = new HashMap<>();
        for (int lane = 0; lane < LANES; lane++) {
            for (int host = 0; host < (lanesOfEachHost > 0 ? 2 : 1); host++) {
                LaneSplit split = new LaneSplit(lane, false, HOSTS.get(host));
                remembered.computeIfAbsent(host, r -> new ArrayList<>()).add(split);
            }
        }
        try (var context = new MockSplitEnumeratorContext<LaneSplit>(4);
                var enumerator =
                        new LaneEnumerator(
                                context, new LaneEnumeratorState(List.of()), lanesOfEachHost)) {
            register(context, enumerator, HOSTS, remembered);
            var first = context.getSplitsAssignmentSequence().get(0).assignment();

            // No checkpoint knows of it, so Flink gives it back, and the checkpoint before too.
            HOSTS.forEach(host -> context.unregisterReader(context.registeredReaders().size() - 1));
            first.forEach((reader, splits) -> enumerator.addSplitsBack(splits, reader));
            register(context, enumerator, HOSTS, remembered);

            List<LaneSplit> dealt =
                    context.getSplitsAssignmentSequence().get(1).assignment().values().stream()
                            .flatMap(List::stream)
                            .toList();
            assertThat(dealt)
                    .hasSize(first.values().stream().mapToInt(List::size).sum())
                    .doesNotHaveDuplicates()
                    .noneMatch(LaneSplit::fresh);
            assertThat(context.getSplitsAssignmentSequence()).hasSize(2);
        }
    }

    @Test
    void stateComesBack() throws Exception {
        LaneSerializers.State state = new LaneSerializers.State();
        assertThat(state.deserialize(state.getVersion(), state.serialize(lanes())))
                .isEqualTo(lanes());
        LaneSerializers.Split split = new LaneSerializers.Split();
        LaneSplit begun = new LaneSplit(3, true, "host").begun();
        assertThat(split.deserialize(split.getVersion(), split.serialize(begun)))
                .isEqualTo(new LaneSplit(3, false, "host"));
    }
}
