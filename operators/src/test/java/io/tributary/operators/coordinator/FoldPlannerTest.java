// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.coordinator;

import static org.assertj.core.api.Assertions.assertThat;

import io.tributary.operators.aggregate.AggregatorInput;
import io.tributary.operators.aggregate.AggregatorInput.CloseNode;
import io.tributary.operators.aggregate.AggregatorInput.DropRound;
import io.tributary.operators.aggregate.AggregatorInput.FoldUpdate;
import io.tributary.operators.coordinator.CoordinatorState.AcceptedUpdate;
import io.tributary.operators.coordinator.CoordinatorState.Member;
import io.tributary.operators.coordinator.RoundRules.Timing;
import io.tributary.operators.optimizer.Algorithm;
import io.tributary.operators.testutils.CoordinatorHarness;
import io.tributary.operators.testutils.Topologies;
import io.tributary.protocol.message.Claim;
import io.tributary.protocol.message.PayloadRef;
import io.tributary.protocol.message.UpdateKind;
import io.tributary.protocol.topology.Topology;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class FoldPlannerTest {

    private static final int SHARDS = 3;

    /** Two groups of trainers, each with a leaf, below the top. */
    private final Topology topology = Topologies.of(List.of(2, 1), 1);

    private final CoordinatorState state = new CoordinatorState();
    private final List<AggregatorInput> leaves = new ArrayList<>();
    private final List<AggregatorInput> top = new ArrayList<>();

    @BeforeEach
    void open() {
        LeafAssigner assigner = new LeafAssigner(topology);
        for (String trainer : List.of("a", "b", "c")) {
            String group = trainer.equals("c") ? "g1" : "g0";
            String leaf = assigner.leaf(group, state).orElseThrow();
            state.join(trainer, new Member("i", group, leaf, "mqtt", 0));
        }
        state.open(0, topology, Map.of(), 0, "eager");
    }

    private void send(int level, AggregatorInput command) {
        (level == 0 ? leaves : top).add(command);
    }

    private AcceptedUpdate count(String trainer) {
        Claim claim =
                CoordinatorHarness.claim(
                        trainer,
                        state.round,
                        state.roundEpoch,
                        4,
                        0,
                        new PayloadRef("/" + trainer, 0, 8, 0));
        state.count(claim, state.members.get(trainer), 0);
        return state.counted.get(trainer);
    }

    private FoldPlanner planner(Timing timing) {
        return planner(timing, Algorithm.FEDAVG);
    }

    private FoldPlanner planner(Timing timing, Algorithm algorithm) {
        return new FoldPlanner(
                topology,
                new RoundRules.Folding(timing, UpdateKind.WEIGHTS, algorithm, true),
                SHARDS);
    }

    private static List<CloseNode> closes(List<AggregatorInput> commands) {
        return commands.stream()
                .filter(CloseNode.class::isInstance)
                .map(CloseNode.class::cast)
                .toList();
    }

    @Test
    void anEagerRoundFoldsEachShardOfAnUpdateWhenItCounts() {
        planner(Timing.EAGER).counted(state, count("a"), this::send);
        assertThat(leaves)
                .hasSize(SHARDS)
                .allSatisfy(
                        command -> {
                            assertThat(command).isInstanceOf(FoldUpdate.class);
                            assertThat(command.node()).isEqualTo(state.members.get("a").leaf());
                            assertThat(((FoldUpdate) command).weight()).isEqualTo(4);
                        })
                .extracting(AggregatorInput::shard)
                .containsExactly(0, 1, 2);
        assertThat(top).isEmpty();
    }

    @Test
    void aCloseTellsEachNodeThatGotAnythingHowMuchToWaitFor() {
        FoldPlanner planner = planner(Timing.EAGER);
        planner.counted(state, count("a"), this::send);
        planner.counted(state, count("b"), this::send);
        planner.closed(state, this::send);
        assertThat(closes(leaves)).as("one leaf, since c has sent nothing").hasSize(SHARDS);
        assertThat(closes(leaves))
                .allSatisfy(close -> assertThat(close.contributions()).isEqualTo(2));
        assertThat(closes(top)).hasSize(SHARDS);
        assertThat(closes(top))
                .allSatisfy(
                        close -> {
                            assertThat(close.contributions()).isEqualTo(1);
                            assertThat(close.parent()).isEmpty();
                        });
    }

    @Test
    void aLazyRoundFoldsAtItsCloseShardByShard() {
        FoldPlanner planner = planner(Timing.LAZY);
        planner.counted(state, count("a"), this::send);
        planner.counted(state, count("c"), this::send);
        assertThat(leaves).isEmpty();
        planner.closed(state, this::send);
        assertThat(leaves).filteredOn(FoldUpdate.class::isInstance).hasSize(2 * SHARDS);
        assertThat(leaves).extracting(AggregatorInput::shard).isSorted();
        assertThat(closes(top)).allSatisfy(close -> assertThat(close.contributions()).isEqualTo(2));
    }

    @Test
    void anAbandonedRoundIsForgottenByTheLeavesThatFoldedSomething() {
        FoldPlanner planner = planner(Timing.EAGER);
        planner.counted(state, count("c"), this::send);
        leaves.clear();
        planner.abandoned(state, this::send);
        assertThat(leaves)
                .hasSize(SHARDS)
                .allSatisfy(command -> assertThat(command).isInstanceOf(DropRound.class))
                .extracting(AggregatorInput::node)
                .containsOnly(state.members.get("c").leaf());
        assertThat(top).isEmpty();
    }

    /** A median needs all updates of a shard at once, so nothing is done below the top. */
    @Test
    void whatIsGatheredGoesToTheTopAloneAtTheClose() {
        FoldPlanner planner = planner(Timing.EAGER, Algorithm.named("median", Map.of()));
        planner.counted(state, count("a"), this::send);
        planner.counted(state, count("c"), this::send);
        assertThat(leaves).isEmpty();
        planner.closed(state, this::send);
        assertThat(leaves).isEmpty();
        for (int shard = 0; shard < SHARDS; shard++) {
            int its = shard;
            List<AggregatorInput> commands = top.stream().filter(c -> c.shard() == its).toList();
            assertThat(commands)
                    .hasExactlyElementsOfTypes(FoldUpdate.class, FoldUpdate.class, CloseNode.class)
                    .extracting(AggregatorInput::node)
                    .containsOnly("r2@*");
            CloseNode close = (CloseNode) commands.get(2);
            assertThat(close.contributions()).isEqualTo(2);
            assertThat(close.parent()).isEmpty();
            assertThat(close.end().counted()).isEqualTo(2);
            assertThat(close.end().trainers()).isEqualTo(3);
        }
    }
}
