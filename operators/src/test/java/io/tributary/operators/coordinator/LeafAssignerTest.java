// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.coordinator;

import static org.assertj.core.api.Assertions.assertThat;

import io.tributary.operators.testutils.CoordinatorHarness;
import io.tributary.operators.testutils.Topologies;
import io.tributary.protocol.message.PayloadRef;
import io.tributary.protocol.topology.Topology;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

class LeafAssignerTest {

    private final CoordinatorState state = new CoordinatorState();

    /** The leaves of four updates. */
    private List<String> leaves(Topology topology) {
        return IntStream.range(0, 4)
                .mapToObj(
                        i ->
                                TestRounds.count(
                                                state,
                                                topology,
                                                CoordinatorHarness.claim(
                                                        "t" + i,
                                                        state.round,
                                                        state.roundEpoch,
                                                        1,
                                                        i,
                                                        new PayloadRef("/x", i, 8, 0)),
                                                false)
                                        .leaf())
                .toList();
    }

    @Test
    void theLeavesOfAGroupTakeTurns() {
        Topology topology = Topologies.of(List.of(2, 1), 2);
        for (int i = 0; i < 4; i++) {
            TestRounds.join(state, "t" + i, "g" + i % 2, "mqtt");
        }
        TestRounds.open(state, topology, 0);
        List<String> leaves = leaves(topology);
        assertThat(leaves).doesNotHaveDuplicates();
        assertThat(leaves.get(0)).contains("g0");
        assertThat(leaves.get(1)).contains("g1");
    }

    /** A job that is resumed with another tree finishes its open round in the tree of before. */
    @Test
    void anOpenRoundKeepsItsTree() {
        Topology before = Topologies.of(List.of(2, 1), 2);
        Topology after = Topologies.of(List.of(2, 1), 1);
        for (int i = 0; i < 4; i++) {
            TestRounds.join(state, "t" + i, "g" + i % 2, "mqtt");
        }
        TestRounds.open(state, before, 0);
        assertThat(leaves(after)).doesNotHaveDuplicates();
        state.close(true, false, 0);
        state.ended();
        TestRounds.open(state, after, 0);
        assertThat(leaves(after)).as("two for each leaf now").hasSize(4).contains("r1/g0/0");
    }
}
