// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.coordinator;

import static org.assertj.core.api.Assertions.assertThat;

import io.tributary.operators.optimizer.Algorithm;
import io.tributary.operators.testutils.CoordinatorHarness;
import io.tributary.operators.testutils.Topologies;
import io.tributary.protocol.RejectReason;
import io.tributary.protocol.message.ControlMessage;
import io.tributary.protocol.message.ControlMessage.Type;
import io.tributary.protocol.message.PayloadRef;
import io.tributary.protocol.message.Run;
import io.tributary.protocol.message.TrainerEvent;
import io.tributary.protocol.message.UpdateKind;
import io.tributary.protocol.topology.Topology;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

class TrainerRegistryTest {

    private static final Topology TOPOLOGY = Topologies.of(List.of(1), 1);
    private static final int MOST = 10;
    private static final Duration SILENCE = Duration.ofSeconds(30);

    private final CoordinatorState state = new CoordinatorState();
    private final TrainerRegistry registry = new TrainerRegistry(TOPOLOGY, MOST, SILENCE);
    private final RoundEvents events =
            new RoundEvents(
                    CoordinatorHarness.JOB,
                    Run.of("secret"),
                    new RoundRules(
                            1,
                            new RoundRules.Quorum(1, 1),
                            new RoundRules.Patience(Duration.ZERO, SILENCE, Duration.ZERO),
                            new RoundRules.Folding(
                                    RoundRules.Timing.EAGER,
                                    UpdateKind.WEIGHTS,
                                    Algorithm.FEDAVG,
                                    true),
                            Map.of(),
                            new RoundRules.Limits(MOST, 100)),
                    state);

    private boolean says(Type type, String trainer, String instance, String group) {
        events.begin("mqtt");
        return registry.take(
                new TrainerEvent.Control(
                        new ControlMessage(type, CoordinatorHarness.JOB, trainer, instance, group)),
                state,
                events);
    }

    private void join(String trainer) {
        says(Type.JOIN, trainer, "i", "g0");
    }

    /** How the last one was rejected. */
    private RejectReason rejected() {
        return events.effects().stream()
                .filter(Effect.Answer.class::isInstance)
                .map(effect -> ((Effect.Answer) effect).receipt().receipt().reason())
                .findFirst()
                .orElseThrow();
    }

    @Test
    void aMillionStrangersChangeNothingAndEachIsToldWhy() {
        for (int i = 0; i < MOST; i++) {
            join("t" + i);
        }
        for (int i = 0; i < 1_000_000; i++) {
            join("stranger" + i);
            assertThat(rejected()).isEqualTo(RejectReason.TOO_MANY_TRAINERS);
        }
        assertThat(state.trainers.members()).isEqualTo(MOST);
        assertThat(state.trainers.remembered()).isEqualTo(MOST);
    }

    /** Strangers that come, are counted or awaited, and go, are remembered for their round. */
    @Test
    void whatStrangersThatComeAndGoCanFillHasABound() {
        join("t");
        TestRounds.open(state, TOPOLOGY, 0);
        for (int i = 0; i < 1000; i++) {
            String stranger = "stranger" + i;
            join(stranger);
            if (state.trainers.member(stranger).isPresent()) {
                TestRounds.count(
                        state,
                        TOPOLOGY,
                        CoordinatorHarness.claim(
                                stranger, 1, 0, 1, i, new PayloadRef("/x", i, 8, 0)),
                        false);
                says(Type.LEAVE, stranger, "i", "g0");
            }
        }
        assertThat(state.trainers.remembered()).isEqualTo(2 * MOST);
        join("t9");
        assertThat(rejected()).isEqualTo(RejectReason.TOO_MANY_TRAINERS);
    }

    @Test
    void aFloodOfHeartbeatsLeavesNothingBehind() {
        join("t");
        for (int i = 0; i < 100_000; i++) {
            state.listenedNanos++;
            assertThat(says(Type.HEARTBEAT, "t", "i", "g0")).isFalse();
            assertThat(events.effects()).isEmpty();
        }
        assertThat(state.trainers.remembered()).isOne();
    }

    @Test
    void aStrangersGroupIsToldFromTheTopologys() {
        says(Type.JOIN, "t", "i", "elsewhere");
        assertThat(rejected()).isEqualTo(RejectReason.UNKNOWN_GROUP);
    }

    @Test
    void aSecondClientOfATrainerWaitsForTheFirst() {
        join("t");
        says(Type.JOIN, "t", "other", "g0");
        assertThat(rejected()).isEqualTo(RejectReason.DUPLICATE_TRAINER);
        says(Type.LEAVE, "t", "other", "g0");
        assertThat(state.trainers.members()).as("a will that is not its own").isOne();
        says(Type.LEAVE, "t", "i", "g0");
        assertThat(state.trainers.members()).isZero();
    }

    /** Those that fell silent at once leave in turns, so that others are served between. */
    @Test
    void manyThatFallSilentAreFoundInTurns() {
        TrainerRegistry wide = new TrainerRegistry(TOPOLOGY, 5000, SILENCE);
        for (int i = 0; i < 2500; i++) {
            TestRounds.join(state, "t" + i, "g0", "mqtt");
        }
        state.listenedNanos = SILENCE.toNanos() - 1;
        assertThat(wide.expire(state).trainers()).isEmpty();
        state.listenedNanos = SILENCE.toNanos();
        assertThat(wide.expire(state).more()).isTrue();
        assertThat(state.trainers.members()).isEqualTo(1500);
        assertThat(wide.expire(state).more()).isTrue();
        TrainerRegistry.Expired rest = wide.expire(state);
        assertThat(rest.trainers()).hasSize(500);
        assertThat(rest.more()).isFalse();
        assertThat(state.trainers.members()).isZero();
    }
}
