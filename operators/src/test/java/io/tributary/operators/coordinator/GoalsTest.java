// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.coordinator;

import static org.assertj.core.api.Assertions.assertThat;

import io.tributary.operators.coordinator.RoundRules.Better;
import io.tributary.operators.coordinator.RoundRules.Goal;
import io.tributary.operators.optimizer.Algorithm;
import io.tributary.operators.testutils.CoordinatorHarness;
import io.tributary.operators.testutils.TestModels;
import io.tributary.operators.testutils.Topologies;
import io.tributary.protocol.message.Claim;
import io.tributary.protocol.message.ControlMessage;
import io.tributary.protocol.message.ControlMessage.Type;
import io.tributary.protocol.message.Evaluation;
import io.tributary.protocol.message.PayloadRef;
import io.tributary.protocol.message.RoundId;
import io.tributary.protocol.message.RoundPlan;
import io.tributary.protocol.message.RoundStatus;
import io.tributary.protocol.message.Run;
import io.tributary.protocol.message.TrainerEvent;
import io.tributary.protocol.message.UpdateKind;
import io.tributary.protocol.tensor.DType;
import io.tributary.protocol.tensor.SafetensorsHeader;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.flink.runtime.checkpoint.OperatorSubtaskState;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What ends a job before its last round, which is far away here. */
class GoalsTest {

    private static final String METRIC = "quality";

    @TempDir Path temp;

    private Path model;

    @BeforeEach
    void writeModel() {
        model =
                TestModels.write(
                        temp.resolve("model"),
                        TestModels.header(SafetensorsHeader.tensor("w", DType.F32, 5)),
                        1);
    }

    private CoordinatorHarness harness(
            Run run, Goal goal, String evaluator, OperatorSubtaskState... restored)
            throws Exception {
        return harness(100, run, goal, evaluator, restored);
    }

    private CoordinatorHarness harness(
            int rounds, Run run, Goal goal, String evaluator, OperatorSubtaskState... restored)
            throws Exception {
        return new CoordinatorHarness(
                run,
                Topologies.of(List.of(2, 1), 1),
                new RoundRules(
                        rounds,
                        new RoundRules.Quorum(2, 2),
                        new RoundRules.Patience(
                                Duration.ZERO, Duration.ZERO, Duration.ofMinutes(1)),
                        new RoundRules.Folding(
                                RoundRules.Timing.EAGER,
                                UpdateKind.WEIGHTS,
                                Algorithm.FEDAVG,
                                true),
                        Map.of(),
                        RoundRules.Limits.DEFAULT,
                        Map.of(),
                        evaluator,
                        RoundRules.Evaluation.NONE,
                        goal),
                TestModels.spec(model, 2, UpdateKind.WEIGHTS),
                restored);
    }

    private CoordinatorHarness harness(Goal goal, OperatorSubtaskState... restored)
            throws Exception {
        return harness(CoordinatorHarness.RUN, goal, "", restored);
    }

    private static void join(CoordinatorHarness harness) throws Exception {
        harness.join("a", "g0");
        harness.join("b", "g1");
    }

    /** Both trainers of the round that is open send what they have measured. */
    private static void round(CoordinatorHarness harness, Map<String, Double> metrics)
            throws Exception {
        RoundId id = harness.plan().id();
        for (String trainer : List.of("a", "b")) {
            send(harness, trainer, id, metrics);
        }
        harness.tick();
    }

    private static void send(
            CoordinatorHarness harness, String trainer, RoundId id, Map<String, Double> metrics)
            throws Exception {
        Claim claim =
                CoordinatorHarness.claim(
                        trainer, id.round(), id.epoch(), 1, 1, new PayloadRef("/x", 0, 1, 0));
        harness.send(
                new TrainerEvent.UpdateStaged(
                        new Claim(
                                claim.job(),
                                trainer,
                                id.round(),
                                id.epoch(),
                                claim.attempt(),
                                1,
                                claim.kind(),
                                claim.crc32c(),
                                true,
                                claim.payload(),
                                metrics)));
    }

    private static void rounds(CoordinatorHarness harness, double... values) throws Exception {
        for (double value : values) {
            round(harness, Map.of(METRIC, value));
        }
    }

    private static void requireOpen(CoordinatorHarness harness, int round) {
        assertThat(harness.plan().state()).isEqualTo(RoundPlan.State.OPEN);
        assertThat(harness.plan().round()).isEqualTo(round);
    }

    private static void requireFinished(CoordinatorHarness harness, String note) {
        assertThat(harness.plan().state()).isEqualTo(RoundPlan.State.FINISHED);
        List<RoundStatus> all = harness.statuses();
        RoundStatus last = all.get(all.size() - 1);
        assertThat(last.state()).isEqualTo(RoundStatus.State.FINISHED);
        assertThat(last.note()).isEqualTo(note);
    }

    private static Goal target(Better better, double target) {
        return new Goal(Duration.ZERO, METRIC, better, target, 0);
    }

    private static Goal noImprovement(Better better, int rounds) {
        return new Goal(Duration.ZERO, METRIC, better, null, rounds);
    }

    @ParameterizedTest
    @CsvSource({
        "HIGHER, 0.5, 0.9, 0.9",
        "HIGHER, 0.5, 0.95, 0.9",
        "LOWER, 3, 0.5, 0.5",
        "LOWER, 3, 0.4, 0.5"
    })
    void aTargetEndsIt(Better better, double before, double reached, double target)
            throws Exception {
        try (CoordinatorHarness harness = harness(target(better, target))) {
            join(harness);
            rounds(harness, before);
            requireOpen(harness, 2);
            rounds(harness, reached);
            requireFinished(
                    harness,
                    "quality is %s in round 2, the target is %s".formatted(reached, target));
        }
    }

    /** What was best is in a checkpoint. */
    @Test
    void roundsWithoutABetterValueEndIt() throws Exception {
        Goal goal = noImprovement(Better.LOWER, 3);
        OperatorSubtaskState state;
        try (CoordinatorHarness harness = harness(goal)) {
            join(harness);
            rounds(harness, 5, 4, 4, 4.5);
            requireOpen(harness, 5);
            state = harness.snapshot(1);
        }
        try (CoordinatorHarness harness = harness(goal, state)) {
            harness.tick();
            rounds(harness, 4);
            requireFinished(
                    harness, "quality has not become better than 4.0 of round 2 for 3 rounds");
        }
        try (CoordinatorHarness harness = harness(goal, state)) {
            harness.tick();
            rounds(harness, 3.9, 4, 4);
            requireOpen(harness, 8);
        }
    }

    @Test
    void timeEndsItWhenTheOpenRoundHasClosed() throws Exception {
        Goal goal = new Goal(Duration.ofMinutes(10), "", Better.HIGHER, null, 0);
        OperatorSubtaskState state;
        try (CoordinatorHarness harness = harness(goal)) {
            join(harness);
            harness.run(Duration.ofMinutes(6));
            rounds(harness, 1);
            requireOpen(harness, 2);
            state = harness.snapshot(1);
        }
        try (CoordinatorHarness harness = harness(goal, state)) {
            harness.run(Duration.ofMinutes(5));
            requireOpen(harness, 2);
            rounds(harness, 1);
            requireFinished(harness, "the job has run for 10m (rounds.time-limit)");
        }
    }

    @Test
    void aMetricThatNobodyReportsIsMissed() throws Exception {
        try (CoordinatorHarness harness = harness(target(Better.HIGHER, 0.9))) {
            join(harness);
            round(harness, Map.of("loss", 1.0));
            assertThat(harness.statuses())
                    .filteredOn(status -> status.state() == RoundStatus.State.CLOSED)
                    .extracting(RoundStatus::note)
                    .containsExactly(
                            "nobody has reported 'quality' (rounds.metric) in round 1; reported is [loss]");
            requireOpen(harness, 2);
            rounds(harness, 0.95);
            requireFinished(harness, "quality is 0.95 in round 2, the target is 0.9");
        }
    }

    @Test
    void anEvaluatorsWordCountsAndNotTheTrainers() throws Exception {
        try (CoordinatorHarness harness =
                harness(CoordinatorHarness.RUN, target(Better.HIGHER, 0.9), "judge")) {
            join(harness);
            rounds(harness, 0.99);
            requireOpen(harness, 2);
            evaluate(harness, 1, 0.91);
            rounds(harness, 0.1);
            requireFinished(harness, "quality is 0.91 in round 1, the target is 0.9");
        }
    }

    /** Who submits a job anew, from a savepoint of one that was about to end, wants more of it. */
    @Test
    void anotherRunGoesOn() throws Exception {
        OperatorSubtaskState state;
        try (CoordinatorHarness harness =
                harness(CoordinatorHarness.RUN, target(Better.HIGHER, 0.9), "judge")) {
            join(harness);
            rounds(harness, 0);
            evaluate(harness, 1, 0.95);
            state = harness.snapshot(1);
        }
        try (CoordinatorHarness harness =
                harness(Run.of("another"), target(Better.HIGHER, 0.97), "judge", state)) {
            harness.tick();
            rounds(harness, 0);
            requireOpen(harness, 3);
        }
    }

    private static void evaluate(CoordinatorHarness harness, int round, double value)
            throws Exception {
        evaluate(harness, round, Map.of(METRIC, value), "");
    }

    private static void evaluate(
            CoordinatorHarness harness, int round, Map<String, Double> metrics, String stop)
            throws Exception {
        harness.send(
                new TrainerEvent.Control(
                        new ControlMessage(
                                Type.EVALUATION,
                                CoordinatorHarness.JOB,
                                "judge",
                                "i",
                                "evaluator",
                                new Evaluation(
                                        CoordinatorHarness.RUN.id(), round, 0, metrics, stop))));
    }

    /** A savepoint of a job that has reached its goal, and waits for its trainers to leave. */
    @Test
    void anotherRunGoesOnWhereOneHasFinished() throws Exception {
        OperatorSubtaskState finished;
        try (CoordinatorHarness harness = harness(target(Better.HIGHER, 0.9))) {
            join(harness);
            rounds(harness, 0.5, 0.95);
            requireFinished(harness, "quality is 0.95 in round 2, the target is 0.9");
            finished = harness.snapshot(1);
        }
        try (CoordinatorHarness same = harness(target(Better.HIGHER, 0.9), finished)) {
            same.tick();
            assertThat(same.plan().state()).isEqualTo(RoundPlan.State.FINISHED);
        }
        try (CoordinatorHarness another =
                harness(Run.of("another"), target(Better.HIGHER, 0.97), "", finished)) {
            another.tick();
            requireOpen(another, 3);
            rounds(another, 0.96);
            requireOpen(another, 4);
            rounds(another, 0.98);
            requireFinished(another, "quality is 0.98 in round 4, the target is 0.97");
        }
    }

    /** Neither its best value, which may be of another metric, nor its time. */
    @Test
    void anotherRunIsNotJudgedByWhatTheOneBeforeHasReached() throws Exception {
        OperatorSubtaskState state;
        try (CoordinatorHarness harness = harness(noImprovement(Better.HIGHER, 3))) {
            join(harness);
            harness.run(Duration.ofMinutes(9));
            rounds(harness, 0.9, 0.1, 0.1);
            requireOpen(harness, 4);
            state = harness.snapshot(1);
        }
        Goal goal = new Goal(Duration.ofMinutes(10), METRIC, Better.LOWER, null, 3);
        try (CoordinatorHarness harness = harness(Run.of("another"), goal, "", state)) {
            harness.run(Duration.ofMinutes(9));
            rounds(harness, 2.3, 2.2);
            requireOpen(harness, 6);
            harness.run(Duration.ofMinutes(2));
            rounds(harness, 2.1);
            requireFinished(harness, "the job has run for 10m (rounds.time-limit)");
        }
    }

    @Test
    void anEvaluatorThatSaysNothingIsMissed() throws Exception {
        try (CoordinatorHarness harness =
                harness(CoordinatorHarness.RUN, target(Better.HIGHER, 0.9), "judge")) {
            join(harness);
            rounds(harness, 0, 0);
            assertThat(harness.statuses())
                    .filteredOn(status -> status.state() == RoundStatus.State.CLOSED)
                    .extracting(RoundStatus::note)
                    .containsExactly(
                            "", "the evaluator 'judge' has not reported 'quality' (rounds.metric)");
        }
    }

    /** One trainer's many names do not push it out. */
    @Test
    void theMetricIsKeptHoweverManyThereAre() throws Exception {
        try (CoordinatorHarness harness = harness(target(Better.HIGHER, 0.9))) {
            join(harness);
            Map<String, Double> many = new TreeMap<>();
            for (int i = 0; i < 32; i++) {
                many.put("m" + i, 1.0);
            }
            RoundId id = harness.plan().id();
            send(harness, "a", id, many);
            send(harness, "b", id, Map.of(METRIC, 0.95));
            harness.tick();
            requireFinished(harness, "quality is 0.95 in round 1, the target is 0.9");
        }
    }

    /** Also where it waits for its last round, which then never opens; another run opens it. */
    @Test
    void timeEndsAJobThatWaitsForTrainers() throws Exception {
        Goal goal = new Goal(Duration.ofMinutes(10), "", Better.HIGHER, null, 0);
        OperatorSubtaskState finished;
        try (CoordinatorHarness harness = harness(1, CoordinatorHarness.RUN, goal, "")) {
            harness.join("a", "g0");
            harness.run(Duration.ofSeconds(610));
            requireFinished(harness, "the job has run for 10m (rounds.time-limit)");
            finished = harness.snapshot(1);
        }
        try (CoordinatorHarness harness = harness(1, Run.of("another"), goal, "", finished)) {
            harness.join("b", "g1");
            requireOpen(harness, 1);
        }
    }

    @Test
    void theEvaluatorsOwnReasonStays() throws Exception {
        try (CoordinatorHarness harness =
                harness(CoordinatorHarness.RUN, target(Better.HIGHER, 0.9), "judge")) {
            join(harness);
            rounds(harness, 0);
            evaluate(harness, 1, Map.of("other", 1.0), "that will do");
            rounds(harness, 0);
            requireFinished(harness, "the evaluator: that will do");
        }
    }
}
