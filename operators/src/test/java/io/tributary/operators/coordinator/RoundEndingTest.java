// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.coordinator;

import static org.assertj.core.api.Assertions.assertThat;

import io.tributary.operators.aggregate.AggregatorInput.CloseNode;
import io.tributary.operators.aggregate.AggregatorInput.DropRound;
import io.tributary.operators.aggregate.AggregatorInput.FoldUpdate;
import io.tributary.operators.coordinator.RoundRules.Timing;
import io.tributary.operators.optimizer.Algorithm;
import io.tributary.operators.testutils.CoordinatorHarness;
import io.tributary.operators.testutils.Topologies;
import io.tributary.protocol.message.PayloadRef;
import io.tributary.protocol.message.RoundLedger.Entry;
import io.tributary.protocol.message.Run;
import io.tributary.protocol.message.UpdateKind;
import io.tributary.protocol.topology.Topology;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

class RoundEndingTest {

    private static final Topology TOPOLOGY = Topologies.of(List.of(2, 1), 1);
    private static final int SHARDS = 2;

    private final CoordinatorState state = new CoordinatorState();

    private static RoundRules rules(Timing timing, Algorithm algorithm) {
        return new RoundRules(
                2,
                new RoundRules.Quorum(1, 1),
                new RoundRules.Patience(Duration.ZERO, Duration.ZERO, Duration.ZERO),
                new RoundRules.Folding(timing, UpdateKind.WEIGHTS, algorithm, true),
                Map.of(),
                RoundRules.Limits.DEFAULT);
    }

    /** Five updates have counted, and the round has ended. */
    private void end(boolean lazy, boolean abandoned) {
        for (int i = 0; i < 5; i++) {
            TestRounds.join(state, "t" + i, "g" + i % 2, "mqtt");
        }
        TestRounds.open(state, TOPOLOGY, 0);
        for (int i = 0; i < 5; i++) {
            TestRounds.count(
                    state,
                    TOPOLOGY,
                    CoordinatorHarness.claim("t" + i, 1, 0, 1, i, new PayloadRef("/x", i, 8, 1)),
                    lazy);
        }
        if (abandoned) {
            state.abandon();
        } else {
            state.close(true, false, 0);
        }
    }

    /** Everything that is said, turn after turn. */
    private List<List<Effect>> turns(RoundRules rules, RoundEnding.Pace pace) {
        RoundEnding ending =
                new RoundEnding(
                        TOPOLOGY,
                        rules.folding(),
                        new FoldPlanner(TOPOLOGY, rules.folding(), SHARDS),
                        SHARDS,
                        pace);
        RoundEvents events =
                new RoundEvents(CoordinatorHarness.JOB, Run.of("secret"), rules, state);
        List<List<Effect>> turns = new ArrayList<>();
        boolean last = false;
        while (!last) {
            events.begin("");
            last = ending.say(state, events);
            turns.add(events.effects());
        }
        return turns;
    }

    private static List<Object> commands(List<List<Effect>> turns) {
        return turns.stream()
                .flatMap(List::stream)
                .filter(Effect.Command.class::isInstance)
                .<Object>map(effect -> ((Effect.Command) effect).input().getClass())
                .toList();
    }

    private static List<String> ledger(List<List<Effect>> turns) {
        return turns.stream()
                .flatMap(List::stream)
                .filter(Effect.Record.class::isInstance)
                .flatMap(effect -> ((Effect.Record) effect).part().ledger().updates().stream())
                .map(Entry::trainer)
                .toList();
    }

    @Test
    void aTurnSaysNoMoreThanItsPaceAndTheLastOneAllCommands() {
        end(false, false);
        List<List<Effect>> turns =
                turns(rules(Timing.EAGER, Algorithm.FEDAVG), new RoundEnding.Pace(1, 2));
        assertThat(turns).hasSize(3);
        assertThat(turns.subList(0, 2)).allMatch(turn -> turn.size() == 1);
        // Two leaves and the top for each shard.
        assertThat(commands(turns)).hasSize(SHARDS * 3).containsOnly(CloseNode.class);
        assertThat(commands(turns.subList(0, 2))).isEmpty();
        assertThat(ledger(turns)).containsExactly("t0", "t1", "t2", "t3", "t4");
        Effect.Record last = (Effect.Record) turns.get(2).get(0);
        assertThat(last.part().last()).isTrue();
        assertThat(last.part().number()).isEqualTo(2);
    }

    /** Whatever the pace, the same is said in the same order. */
    @Test
    void thePaceChangesNothingButTheTurns() {
        end(false, false);
        List<Object> atOnce = null;
        for (int pace : new int[] {1000, 1, 2, 3}) {
            state.said(0);
            List<List<Effect>> turns =
                    turns(rules(Timing.EAGER, Algorithm.FEDAVG), new RoundEnding.Pace(pace, 1));
            List<Object> said = turns.stream().<Object>flatMap(List::stream).toList();
            atOnce = atOnce == null ? said : atOnce;
            assertThat(said).isEqualTo(atOnce);
        }
        assertThat(atOnce).hasSize(5 + SHARDS * 3);
    }

    @Test
    void aRoundWithoutUpdatesHasALedger() {
        TestRounds.open(state, TOPOLOGY, 0);
        state.close(true, false, 0);
        List<List<Effect>> turns =
                turns(rules(Timing.EAGER, Algorithm.FEDAVG), RoundEnding.Pace.DEFAULT);
        assertThat(((Effect.Record) turns.get(0).get(0)).part().last()).isTrue();
        assertThat(ledger(turns)).isEmpty();
    }

    @Test
    void anAbandonedRoundIsDroppedAtItsLeavesAlone() {
        end(false, true);
        List<List<Effect>> turns =
                turns(rules(Timing.EAGER, Algorithm.FEDAVG), new RoundEnding.Pace(1, 2));
        assertThat(commands(turns)).hasSize(SHARDS * 2).containsOnly(DropRound.class);
        assertThat(ledger(turns)).isEmpty();
    }

    /** A checkpoint between a fold that fails and its close would have to be restored for ever. */
    @Test
    void aRoundThatIsFoldedAtItsCloseSaysAllAtOnce() {
        end(true, false);
        List<List<Effect>> turns =
                turns(rules(Timing.LAZY, Algorithm.FEDAVG), new RoundEnding.Pace(1, 1));
        assertThat(turns).hasSize(1);
        assertThat(commands(turns)).hasSize(SHARDS * (5 + 3));
        assertThat(ledger(turns)).hasSize(5);
        assertThat(turns.get(0)).filteredOn(Effect.Release.class::isInstance).hasSize(5);
    }

    @Test
    void aMedianGetsAllUpdatesOfAShardAtTheTop() {
        end(true, false);
        List<List<Effect>> turns =
                turns(
                        rules(Timing.LAZY, Algorithm.named("median", Map.of())),
                        new RoundEnding.Pace(1, 1));
        List<Object> shard = new ArrayList<>();
        for (int i = 0; i < 5; i++) {
            shard.add(FoldUpdate.class);
        }
        shard.add(CloseNode.class);
        List<Object> both = new ArrayList<>(shard);
        both.addAll(shard);
        assertThat(turns).hasSize(1);
        assertThat(commands(turns)).isEqualTo(both);
        assertThat(turns.get(0))
                .as("each is told that it counts when it does")
                .filteredOn(Effect.Answer.class::isInstance)
                .hasSize(5);
    }
}
