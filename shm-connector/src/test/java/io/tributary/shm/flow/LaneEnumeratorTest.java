// SPDX-License-Identifier: Apache-2.0

package io.tributary.shm.flow;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.stream.IntStream;
import org.apache.flink.api.connector.source.ReaderInfo;
import org.apache.flink.api.connector.source.mocks.MockSplitEnumeratorContext;
import org.junit.jupiter.api.Test;

class LaneEnumeratorTest {

    private static final int LANES = 16;

    private static LaneEnumeratorState lanes() {
        return new LaneEnumeratorState(
                IntStream.range(0, LANES).mapToObj(lane -> new LaneSplit(lane, true)).toList());
    }

    @Test
    void lanesAreDealtOutOnceAllReadersAreThereAndAgainWhenTheyComeBack() throws Exception {
        try (var context = new MockSplitEnumeratorContext<LaneSplit>(3);
                var enumerator = new LaneEnumerator(context, lanes())) {
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

    @Test
    void stateComesBack() throws Exception {
        LaneSerializers.State state = new LaneSerializers.State();
        assertThat(state.deserialize(state.getVersion(), state.serialize(lanes())))
                .isEqualTo(lanes());
        LaneSerializers.Split split = new LaneSerializers.Split();
        LaneSplit begun = new LaneSplit(3, true).begun();
        assertThat(split.deserialize(split.getVersion(), split.serialize(begun)))
                .isEqualTo(new LaneSplit(3, false));
    }
}
