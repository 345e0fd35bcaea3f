// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.coordinator;

import static org.assertj.core.api.Assertions.assertThat;

import io.tributary.operators.aggregate.AggregatorInput;
import io.tributary.operators.aggregate.AggregatorInput.CloseNode;
import io.tributary.operators.aggregate.AggregatorInput.DropRound;
import io.tributary.operators.aggregate.AggregatorInput.FoldUpdate;
import io.tributary.operators.coordinator.RoundRules.Timing;
import io.tributary.operators.optimizer.Algorithm;
import io.tributary.operators.testutils.CoordinatorHarness;
import io.tributary.operators.testutils.Topologies;
import io.tributary.protocol.message.Claim;
import io.tributary.protocol.message.PayloadRef;
import io.tributary.protocol.message.Run;
import io.tributary.protocol.message.UpdateKind;
import io.tributary.protocol.topology.Topology;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

class FoldPlannerTest {

    private static final int SHARDS = 3;

    /** Two groups of trainers, each with a leaf, below the top. */
    private static final Topology TOPOLOGY = Topologies.of(List.of(2, 1), 1);

    private final CoordinatorState state = new CoordinatorState();
    private final List<AggregatorInput> leaves = new ArrayList<>();
    private final List<AggregatorInput> top = new ArrayList<>();

    private FoldPlanner planner;
    private RoundEnding ending;
    private RoundEvents events;

    private void begin(Timing timing, Algorithm algorithm) {
        RoundRules rules =
                new RoundRules(
                        2,
                        new RoundRules.Quorum(1, 1),
                        new RoundRules.Patience(Duration.ZERO, Duration.ZERO, Duration.ZERO),
                        new RoundRules.Folding(timing, UpdateKind.WEIGHTS, algorithm, true),
                        Map.of(),
                        RoundRules.Limits.DEFAULT);
        planner = new FoldPlanner(TOPOLOGY, rules.folding(), SHARDS);
        ending =
                new RoundEnding(
                        TOPOLOGY, rules.folding(), planner, SHARDS, RoundEnding.Pace.DEFAULT);
        events = new RoundEvents(CoordinatorHarness.JOB, Run.of("secret"), rules, state);
        for (String trainer : List.of("a", "b", "c")) {
            TestRounds.join(state, trainer, trainer.equals("c") ? "g1" : "g0", "mqtt");
        }
        state.open(0, TOPOLOGY, Map.of(), 0, "eager");
    }

    private void begin(Timing timing) {
        begin(timing, Algorithm.FEDAVG);
    }

    private void count(String trainer) {
        Claim claim =
                CoordinatorHarness.claim(
                        trainer,
                        state.round,
                        state.roundEpoch,
                        4,
                        0,
                        new PayloadRef("/" + trainer, 0, 8, 0));
        planner.counted(
                state, TestRounds.count(state, TOPOLOGY, claim, planner.atClose()), claim, events);
        commands();
    }

    private void close() {
        state.close(true, false, 0);
        assertThat(ending.say(state, events)).isTrue();
        commands();
    }

    private void commands() {
        for (Effect effect : events.effects()) {
            if (effect instanceof Effect.Command command) {
                (command.level() == 0 ? leaves : top).add(command.input());
            }
        }
        events.begin("");
    }

    private static List<CloseNode> closes(List<AggregatorInput> commands) {
        return commands.stream()
                .filter(CloseNode.class::isInstance)
                .map(CloseNode.class::cast)
                .toList();
    }

    @Test
    void anEagerRoundFoldsEachShardOfAnUpdateWhenItCounts() {
        begin(Timing.EAGER);
        count("a");
        assertThat(leaves)
                .hasSize(SHARDS)
                .allSatisfy(
                        command -> {
                            assertThat(command).isInstanceOf(FoldUpdate.class);
                            assertThat(command.node()).isEqualTo("r1/g0/0");
                            assertThat(((FoldUpdate) command).weight()).isEqualTo(4);
                        })
                .extracting(AggregatorInput::shard)
                .containsExactly(0, 1, 2);
        assertThat(top).isEmpty();
    }

    @Test
    void aCloseTellsEachNodeThatGotAnythingHowMuchToWaitFor() {
        begin(Timing.EAGER);
        count("a");
        count("b");
        close();
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
        begin(Timing.LAZY);
        count("a");
        count("c");
        assertThat(leaves).isEmpty();
        close();
        assertThat(leaves).filteredOn(FoldUpdate.class::isInstance).hasSize(2 * SHARDS);
        assertThat(leaves).extracting(AggregatorInput::shard).isSorted();
        assertThat(closes(top)).allSatisfy(close -> assertThat(close.contributions()).isEqualTo(2));
    }

    @Test
    void anAbandonedRoundIsForgottenByTheLeavesThatFoldedSomething() {
        begin(Timing.EAGER);
        count("c");
        leaves.clear();
        state.abandon();
        assertThat(ending.say(state, events)).isTrue();
        commands();
        assertThat(leaves)
                .hasSize(SHARDS)
                .allSatisfy(command -> assertThat(command).isInstanceOf(DropRound.class))
                .extracting(AggregatorInput::node)
                .containsOnly("r1/g1/0");
        assertThat(top).isEmpty();
    }

    @Test
    void aTrainerOfFedDynCountsAsMuchAsAnother() {
        begin(Timing.EAGER, Algorithm.named("feddyn", Map.of()));
        count("a");
        assertThat(leaves)
                .hasSize(SHARDS)
                .allSatisfy(command -> assertThat(((FoldUpdate) command).weight()).isEqualTo(1));
        leaves.clear();
        begin(Timing.EAGER);
        count("b");
        assertThat(leaves)
                .hasSize(SHARDS)
                .allSatisfy(command -> assertThat(((FoldUpdate) command).weight()).isEqualTo(4));
    }

    /** A median needs all updates of a shard at once, so nothing is done below the top. */
    @Test
    void whatIsGatheredGoesToTheTopAloneAtTheClose() {
        begin(Timing.EAGER, Algorithm.named("median", Map.of()));
        count("a");
        count("c");
        assertThat(leaves).isEmpty();
        close();
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
