// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.coordinator;

import static org.assertj.core.api.Assertions.assertThat;

import io.tributary.operators.coordinator.CoordinatorState.Phase;
import io.tributary.operators.coordinator.RoundLifecycle.Verdict;
import io.tributary.operators.optimizer.Algorithm;
import io.tributary.operators.testutils.CoordinatorHarness;
import io.tributary.operators.testutils.Topologies;
import io.tributary.protocol.message.Claim;
import io.tributary.protocol.message.PayloadRef;
import io.tributary.protocol.message.Run;
import io.tributary.protocol.message.UpdateKind;
import io.tributary.protocol.topology.Topology;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

class RoundLifecycleTest {

    private static final Topology TOPOLOGY = Topologies.of(List.of(1), 1);

    private static final Duration DEADLINE = Duration.ofMinutes(10);
    private static final Duration LINGER = Duration.ofMinutes(1);

    private final CoordinatorState state = new CoordinatorState();

    private static RoundLifecycle lifecycle(Duration deadline) {
        RoundRules rules =
                new RoundRules(
                        3,
                        new RoundRules.Quorum(2, 2),
                        new RoundRules.Patience(deadline, Duration.ZERO, LINGER),
                        new RoundRules.Folding(
                                RoundRules.Timing.EAGER,
                                UpdateKind.WEIGHTS,
                                Algorithm.FEDAVG,
                                true),
                        Map.of(),
                        RoundRules.Limits.DEFAULT);
        return new RoundLifecycle(rules, new Evaluations(Run.draw(), rules));
    }

    private void join(String... trainers) {
        for (String trainer : trainers) {
            TestRounds.join(state, trainer, "g0", "mqtt");
        }
    }

    private void open(RoundLifecycle lifecycle) {
        TestRounds.open(state, TOPOLOGY, lifecycle.deadline(state));
    }

    private void count(String trainer) {
        Claim claim =
                CoordinatorHarness.claim(
                        trainer,
                        state.round,
                        state.roundEpoch,
                        1,
                        0,
                        new PayloadRef("/x", 0, 8, 0));
        TestRounds.count(state, TOPOLOGY, claim, false);
    }

    @Test
    void aRoundOpensWhenEnoughTrainersHaveJoined() {
        RoundLifecycle lifecycle = lifecycle(DEADLINE);
        join("a");
        assertThat(lifecycle.judge(state)).isEqualTo(Verdict.NOTHING);
        join("b");
        assertThat(lifecycle.judge(state)).isEqualTo(Verdict.OPEN);
    }

    @Test
    void aRoundClosesWhenAllHaveSentAndAtItsDeadlineWithAQuorum() {
        RoundLifecycle lifecycle = lifecycle(DEADLINE);
        join("a", "b", "c");
        open(lifecycle);
        count("a");
        count("b");
        assertThat(lifecycle.judge(state)).as("c may still come").isEqualTo(Verdict.NOTHING);
        state.ranNanos = DEADLINE.toNanos() - 1;
        assertThat(lifecycle.judge(state)).isEqualTo(Verdict.NOTHING);
        state.ranNanos = DEADLINE.toNanos();
        assertThat(lifecycle.judge(state)).isEqualTo(Verdict.CLOSE);
        state.ranNanos = 0;
        count("c");
        assertThat(lifecycle.judge(state)).isEqualTo(Verdict.CLOSE);
    }

    @Test
    void aRoundBelowItsQuorumIsAbandonedAtItsDeadline() {
        RoundLifecycle lifecycle = lifecycle(DEADLINE);
        join("a", "b");
        open(lifecycle);
        count("a");
        state.ranNanos = DEADLINE.toNanos();
        assertThat(lifecycle.judge(state)).isEqualTo(Verdict.ABANDON);
    }

    @Test
    void aRoundWithoutADeadlineWaits() {
        RoundLifecycle lifecycle = lifecycle(Duration.ZERO);
        join("a", "b");
        open(lifecycle);
        state.ranNanos = Long.MAX_VALUE;
        assertThat(lifecycle.judge(state)).isEqualTo(Verdict.NOTHING);
    }

    @Test
    void aFinishedJobEndsWhenAllHaveLeftOrAfterItsLinger() {
        RoundLifecycle lifecycle = lifecycle(DEADLINE);
        join("a");
        state.phase = Phase.FINISHED;
        state.endsAt = lifecycle.end(state);
        assertThat(lifecycle.judge(state)).isEqualTo(Verdict.NOTHING);
        state.ranNanos = LINGER.toNanos();
        assertThat(lifecycle.judge(state)).isEqualTo(Verdict.END);
        state.ranNanos = 0;
        state.trainers.leave("a");
        assertThat(lifecycle.judge(state)).isEqualTo(Verdict.END);
        state.phase = Phase.ENDED;
        assertThat(lifecycle.judge(state)).isEqualTo(Verdict.NOTHING);
    }
}
