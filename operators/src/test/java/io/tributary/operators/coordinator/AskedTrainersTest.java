// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.coordinator;

import static org.assertj.core.api.Assertions.assertThat;

import io.tributary.operators.coordinator.RoundRules.Better;
import io.tributary.operators.optimizer.Algorithm;
import io.tributary.operators.optimizer.FedDynHistory;
import io.tributary.operators.testutils.CoordinatorHarness;
import io.tributary.operators.testutils.TestModels;
import io.tributary.operators.testutils.Topologies;
import io.tributary.protocol.RejectReason;
import io.tributary.protocol.message.ControlMessage;
import io.tributary.protocol.message.ControlMessage.Type;
import io.tributary.protocol.message.DeadLetter;
import io.tributary.protocol.message.Evaluation;
import io.tributary.protocol.message.RoundPlan;
import io.tributary.protocol.message.RoundStatus;
import io.tributary.protocol.message.RoundStatus.GroupStatus;
import io.tributary.protocol.message.Run;
import io.tributary.protocol.message.TrainerEvent;
import io.tributary.protocol.message.TrainerShare;
import io.tributary.protocol.message.UpdateKind;
import io.tributary.protocol.tensor.DType;
import io.tributary.protocol.tensor.SafetensorsHeader;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import org.apache.flink.runtime.checkpoint.OperatorSubtaskState;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Rounds of their own kind, in which trainers say what a model is worth. */
class AskedTrainersTest {

    private static final Duration DEADLINE = Duration.ofSeconds(20);

    @TempDir private Path temp;

    private Path model;
    private Algorithm algorithm = Algorithm.FEDAVG;

    @BeforeEach
    void writeModel() {
        model =
                TestModels.write(
                        temp.resolve("model"),
                        TestModels.header(SafetensorsHeader.tensor("a", DType.F32, 4)),
                        () -> 0);
    }

    private CoordinatorHarness harness(
            int rounds,
            RoundRules.Evaluation asking,
            RoundRules.Goal goal,
            OperatorSubtaskState... restored)
            throws Exception {
        return harness(CoordinatorHarness.RUN, rounds, asking, goal, restored);
    }

    private CoordinatorHarness harness(
            Run run,
            int rounds,
            RoundRules.Evaluation asking,
            RoundRules.Goal goal,
            OperatorSubtaskState... restored)
            throws Exception {
        return new CoordinatorHarness(
                run,
                Topologies.of(List.of(2, 1), 1),
                rules(algorithm, rounds, asking, goal),
                TestModels.spec(model, 2, UpdateKind.WEIGHTS),
                restored);
    }

    private CoordinatorHarness harness(int rounds, int every) throws Exception {
        return harness(rounds, new RoundRules.Evaluation(every, 1, DEADLINE), RoundRules.Goal.NONE);
    }

    private static void begin(CoordinatorHarness harness) throws Exception {
        harness.join("a", "g0");
        harness.join("b", "g1");
    }

    private static void say(
            CoordinatorHarness harness, String from, int round, long samples, double accuracy)
            throws Exception {
        say(harness, from, "i-" + from, round, samples, Map.of("accuracy", accuracy));
    }

    private static void say(
            CoordinatorHarness harness,
            String from,
            String instance,
            int round,
            long samples,
            Map<String, Double> metrics)
            throws Exception {
        harness.send(
                new TrainerEvent.Control(
                        new ControlMessage(
                                Type.EVALUATION,
                                CoordinatorHarness.JOB,
                                from,
                                instance,
                                "g0",
                                new Evaluation(
                                        CoordinatorHarness.RUN.id(),
                                        round,
                                        0,
                                        metrics,
                                        samples,
                                        ""))));
        harness.tick();
    }

    private static void bothSay(CoordinatorHarness harness, int round, double a, double b)
            throws Exception {
        say(harness, "a", round, 1, a);
        say(harness, "b", round, 3, b);
    }

    private static void round(CoordinatorHarness harness, int round) throws Exception {
        harness.update("a", round, 0, round);
        harness.update("b", round, 0, round);
    }

    private static RoundStatus status(CoordinatorHarness harness) {
        List<RoundStatus> all = harness.statuses();
        return all.get(all.size() - 1);
    }

    private static Evaluation found(int round, double accuracy) {
        return new Evaluation(
                CoordinatorHarness.RUN.id(), round, 0, Map.of("accuracy", accuracy), "");
    }

    @Test
    void theyAreAskedAboutEachModelBeforeTheyTrainItAndAboutTheLast() throws Exception {
        try (CoordinatorHarness harness = harness(2, 1)) {
            begin(harness);
            for (int round = 0; round <= 2; round++) {
                assertThat(harness.plan().state()).isEqualTo(RoundPlan.State.EVALUATING);
                assertThat(harness.plan().asked()).isEqualTo(TrainerShare.ALL);
                assertThat(harness.plan().model().round()).isEqualTo(round);
                bothSay(harness, round, 0.25 * round, 0.5);
                if (round < 2) {
                    assertThat(harness.plan().state()).isEqualTo(RoundPlan.State.OPEN);
                    assertThat(harness.plan().measured())
                            .containsExactly(Map.entry("accuracy", 0.375 + 0.0625 * round));
                    round(harness, round + 1);
                }
            }
            assertThat(harness.plan().state()).isEqualTo(RoundPlan.State.FINISHED);
            assertThat(harness.plan().round()).isEqualTo(2);
            assertThat(harness.side(CoordinatorOutputs.EVALUATIONS))
                    .containsExactly(found(0, 0.375), found(1, 0.4375), found(2, 0.5));
            assertThat(status(harness).evaluation()).isEqualTo(found(2, 0.5));
        }
    }

    @Test
    void theyAreAskedOnlyAfterSoManyRounds() throws Exception {
        try (CoordinatorHarness harness = harness(3, 2)) {
            begin(harness);
            bothSay(harness, 0, 1, 1);
            round(harness, 1);
            assertThat(harness.plan().state()).isEqualTo(RoundPlan.State.OPEN);
            assertThat(harness.plan().measured()).as("of another model").isEmpty();
            round(harness, 2);
            assertThat(harness.plan().state()).isEqualTo(RoundPlan.State.EVALUATING);
            bothSay(harness, 2, 1, 1);
            round(harness, 3);
            assertThat(harness.plan().state()).isEqualTo(RoundPlan.State.FINISHED);
        }
    }

    @Test
    void whatIsMissingIsNotWaitedForForEver() throws Exception {
        try (CoordinatorHarness harness = harness(1, 1)) {
            begin(harness);
            say(harness, "a", 0, 1, 0.75);
            assertThat(status(harness).state()).isEqualTo(RoundStatus.State.EVALUATING);
            assertThat(status(harness).updates()).isEqualTo(1);
            assertThat(status(harness).expected()).isEqualTo(2);
            assertThat(status(harness).groups().get("g0"))
                    .extracting(GroupStatus::updates, GroupStatus::expected)
                    .containsExactly(1, 1);
            assertThat(status(harness).groups().get("g1"))
                    .extracting(GroupStatus::updates, GroupStatus::expected)
                    .containsExactly(0, 1);
            harness.run(DEADLINE);
            harness.tick();
            assertThat(harness.plan().state()).isEqualTo(RoundPlan.State.OPEN);
            assertThat(status(harness).evaluation()).isEqualTo(found(0, 0.75));
            round(harness, 1);
            harness.run(DEADLINE);
            harness.tick();
            assertThat(harness.plan().state()).isEqualTo(RoundPlan.State.FINISHED);
            assertThat(status(harness).note())
                    .isEqualTo("no trainer has evaluated model 1.0 (rounds.evaluate-every)");
        }
    }

    @Test
    void whoCannotSayItOrLeavesIsNotWaitedFor() throws Exception {
        try (CoordinatorHarness harness = harness(1, 1)) {
            begin(harness);
            say(harness, "a", "i-a", 0, 0, Map.of());
            assertThat(harness.plan().state()).isEqualTo(RoundPlan.State.EVALUATING);
            harness.control(Type.LEAVE, "b", "i-b", "g1");
            harness.tick();
            assertThat(harness.side(CoordinatorOutputs.EVALUATIONS)).isEmpty();
            harness.join("b", "g1");
            assertThat(harness.plan().state()).isEqualTo(RoundPlan.State.OPEN);
        }
    }

    @Test
    void onlyTheWordOfThoseThatAreAskedCountsAndOnce() throws Exception {
        try (CoordinatorHarness harness = harness(1, 1)) {
            begin(harness);
            say(harness, "stranger", 0, 1000, 1);
            say(harness, "b", "i-other", 0, 1000, Map.of("accuracy", 1.0));
            assertThat(harness.side(CoordinatorOutputs.DEAD_LETTERS))
                    .extracting(DeadLetter::reason)
                    .containsOnly(RejectReason.UNKNOWN_TRAINER)
                    .hasSize(2);
            say(harness, "a", 1, 1000, 1);
            say(harness, "a", 0, 1, 0);
            say(harness, "a", 0, 1000, 1);
            harness.join("c", "g0");
            say(harness, "c", 0, 1000, 1);
            say(harness, "b", 0, 3, 0.5);
            assertThat(status(harness).evaluation()).isEqualTo(found(0, 0.375));
            say(harness, "b", 0, 3, 1);
            assertThat(status(harness).evaluation()).isEqualTo(found(0, 0.375));
        }
    }

    @Test
    void aWeightThatCannotBeIsRejectedAndItsTrainerNotWaitedFor() throws Exception {
        try (CoordinatorHarness harness = harness(1, 1)) {
            begin(harness);
            say(harness, "a", 0, 2_000_000_000, 1);
            assertThat(harness.side(CoordinatorOutputs.DEAD_LETTERS))
                    .singleElement()
                    .extracting(DeadLetter::text)
                    .isEqualTo(
                            "evaluation of model 0.0: it has 2000000000 samples, expected 1 to 1000000000 (rounds.max-samples)");
            say(harness, "b", 0, 3, 0.5);
            assertThat(status(harness).evaluation()).isEqualTo(found(0, 0.5));
        }
    }

    @Test
    void aRestoredJobAsksOnWhereItWas() throws Exception {
        OperatorSubtaskState state;
        try (CoordinatorHarness harness = harness(1, 1)) {
            begin(harness);
            say(harness, "a", 0, 1, 0);
            state = harness.snapshot(1);
            say(harness, "b", 0, 3, 0.25);
        }
        try (CoordinatorHarness harness =
                harness(
                        1,
                        new RoundRules.Evaluation(1, 1, DEADLINE),
                        RoundRules.Goal.NONE,
                        state)) {
            assertThat(harness.plan().state()).isEqualTo(RoundPlan.State.EVALUATING);
            assertThat(harness.plan().restores()).isEqualTo(1);
            say(harness, "a", 0, 1, 1);
            say(harness, "b", 0, 3, 0.5);
            assertThat(status(harness).evaluation()).isEqualTo(found(0, 0.375));
            assertThat(harness.plan().state()).isEqualTo(RoundPlan.State.OPEN);
        }
    }

    @Test
    void aMeanOfAllIsShownByGroupToo() throws Exception {
        try (CoordinatorHarness harness = harness(1, 1)) {
            begin(harness);
            bothSay(harness, 0, 0.25, 0.75);
            RoundStatus last =
                    harness.statuses().stream()
                            .filter(s -> s.state() == RoundStatus.State.EVALUATING)
                            .reduce((one, other) -> other)
                            .orElseThrow();
            assertThat(last.updates()).isEqualTo(2);
            assertThat(last.evaluation()).isEqualTo(found(0, 0.625));
            assertThat(last.groups().get("g1").metrics().get("accuracy").mean()).isEqualTo(0.75);
        }
    }

    @Test
    void whatNobodyHasSaidIsShownThoughTheJobGoesOn() throws Exception {
        try (CoordinatorHarness harness = harness(1, 1)) {
            begin(harness);
            harness.run(DEADLINE);
            assertThat(harness.plan().state()).isEqualTo(RoundPlan.State.OPEN);
            assertThat(harness.statuses())
                    .extracting(RoundStatus::note)
                    .contains("no trainer has evaluated model 0.0 (rounds.evaluate-every)");
        }
    }

    @Test
    void theReasonWhyAJobEndsOutlastsItsLastEvaluation() throws Exception {
        RoundRules.Goal goal =
                new RoundRules.Goal(Duration.ofSeconds(10), "", Better.HIGHER, null, 0);
        try (CoordinatorHarness harness =
                harness(9, new RoundRules.Evaluation(1, 1, DEADLINE), goal)) {
            begin(harness);
            bothSay(harness, 0, 1, 1);
            harness.run(Duration.ofSeconds(11));
            round(harness, 1);
            bothSay(harness, 1, 1, 1);
            assertThat(harness.plan().state()).isEqualTo(RoundPlan.State.FINISHED);
            assertThat(status(harness).note()).contains("(rounds.time-limit)");
        }
    }

    @Test
    void aRunWithMoreRoundsGoesOnBehindTheLastModelThatWasAskedAbout() throws Exception {
        OperatorSubtaskState state;
        RoundRules.Evaluation asking = new RoundRules.Evaluation(1, 1, DEADLINE);
        try (CoordinatorHarness harness = harness(1, 1)) {
            begin(harness);
            bothSay(harness, 0, 1, 1);
            round(harness, 1);
            assertThat(harness.plan().state()).isEqualTo(RoundPlan.State.EVALUATING);
            state = harness.snapshot(1);
        }
        try (CoordinatorHarness harness =
                harness(Run.draw(), 2, asking, RoundRules.Goal.NONE, state)) {
            harness.run(DEADLINE);
            assertThat(harness.plan().state()).isEqualTo(RoundPlan.State.OPEN);
            assertThat(harness.plan().round()).isEqualTo(2);
            assertThat(harness.plan().model().round()).isEqualTo(1);
        }
    }

    @Test
    void aResumedJobThatDoesNotAskAnyMoreGoesOnAtOnce() throws Exception {
        OperatorSubtaskState state;
        try (CoordinatorHarness harness = harness(1, 1)) {
            begin(harness);
            state = harness.snapshot(1);
        }
        try (CoordinatorHarness harness =
                harness(1, RoundRules.Evaluation.NONE, RoundRules.Goal.NONE, state)) {
            assertThat(harness.plan().state()).isEqualTo(RoundPlan.State.OPEN);
        }
    }

    /** A round keeps 32 metrics, and the trainers' loss has to find these among them. */
    @Test
    void whatTheAlgorithmAsksForIsKeptBesideAnyNumberOfOtherMetrics() throws Exception {
        algorithm = Algorithm.named("fedgft", Map.of());
        Map<String, Double> others = new TreeMap<>();
        for (int i = 0; i < 32; i++) {
            others.put("a-%02d".formatted(i), 1.0);
        }
        try (CoordinatorHarness harness = harness(1, 1)) {
            begin(harness);
            say(harness, "a", "i-a", 0, 10, others);
            say(harness, "b", "i-b", 0, 4, Map.of("fairness-a", 0.25, "b-00", 1.0));
            assertThat(harness.statuses())
                    .extracting(RoundStatus::note)
                    .contains(
                            "no trainer has said fairness-b, fairness-c, fairness-d of model 0.0, which the algorithm needs; see algorithms.md for the trainers' part");
            assertThat(harness.plan().measured())
                    .hasSize(29)
                    .containsEntry("fairness-a", 0.25)
                    .doesNotContainKey("b-00");
        }
    }

    /** Trainers with 1 and 3 samples. The job computes it, whatever they say. */
    @Test
    void flamesFedDynKnowsHowManySamplesATrainerHasInTheMean() throws Exception {
        algorithm = Algorithm.named("feddyn", Map.of("flavor", "flame"));
        try (CoordinatorHarness harness = harness(1, 1)) {
            begin(harness);
            say(harness, "a", "i-a", 0, 1, Map.of(FedDynHistory.INVERSE_SAMPLES, -7.0));
            say(harness, "b", 0, 3, 0.5);
            assertThat(harness.plan().measured())
                    .containsEntry(FedDynHistory.INVERSE_SAMPLES, 2.0 / 4);
        }
    }

    /** Places are left for what is asked, but not where it never comes. */
    @Test
    void updatesKeepAsManyMetricsAsATrainerMaySend() {
        assertThat(rules(Algorithm.named("fedgft", Map.of()), "").decisiveInUpdates()).isEmpty();
        assertThat(rules(Algorithm.FEDAVG, "loss").decisiveInUpdates()).containsExactly("loss");
        RoundRules asked = rules(Algorithm.named("fedgft", Map.of()), "loss");
        assertThat(asked.decisiveInUpdates()).as("they do not decide").isEmpty();
        assertThat(asked.decisiveInEvaluations()).contains("loss", "fairness-d").hasSize(5);
    }

    private static RoundRules rules(Algorithm algorithm, String metric) {
        return rules(
                algorithm,
                1,
                RoundRules.Evaluation.of(algorithm),
                new RoundRules.Goal(Duration.ZERO, metric, Better.HIGHER, null, 0));
    }

    private static RoundRules rules(
            Algorithm algorithm, int rounds, RoundRules.Evaluation asking, RoundRules.Goal goal) {
        return new RoundRules(
                rounds,
                new RoundRules.Quorum(2, 1),
                new RoundRules.Patience(Duration.ZERO, Duration.ZERO, Duration.ofMinutes(1)),
                new RoundRules.Folding(
                        RoundRules.Timing.EAGER, UpdateKind.WEIGHTS, algorithm, true),
                Map.of(),
                RoundRules.Limits.DEFAULT,
                Map.of(),
                "",
                asking,
                goal);
    }

    @Test
    void aTargetIsJudgedByIt() throws Exception {
        RoundRules.Goal goal =
                new RoundRules.Goal(Duration.ZERO, "accuracy", Better.HIGHER, 0.9, 0);
        try (CoordinatorHarness harness =
                harness(9, new RoundRules.Evaluation(1, 1, DEADLINE), goal)) {
            begin(harness);
            bothSay(harness, 0, 0.1, 0.1);
            round(harness, 1);
            bothSay(harness, 1, 0.95, 0.95);
            assertThat(harness.plan().state()).isEqualTo(RoundPlan.State.FINISHED);
            assertThat(status(harness).note())
                    .isEqualTo("accuracy is 0.95 in round 1, the target is 0.9");
        }
    }

    @Test
    void aShareIsAskedEachTimeAndAllInTurn() throws Exception {
        int trainers = 40;
        try (CoordinatorHarness harness =
                harness(8, new RoundRules.Evaluation(1, 0.25, DEADLINE), RoundRules.Goal.NONE)) {
            harness.join("t-0", "g0");
            harness.join("t-1", "g1");
            List<String> all = new ArrayList<>(List.of("t-0", "t-1"));
            answer(harness, all);
            for (int i = 2; i < trainers; i++) {
                harness.join("t-" + i, "g" + i % 2);
                all.add("t-" + i);
            }
            update(harness, List.of("t-0", "t-1"), 1);
            Set<String> asked = new TreeSet<>();
            for (int round = 1; round <= 6; round++) {
                List<String> its = answer(harness, all);
                assertThat(its).hasSizeBetween(10, 14);
                assertThat(status(harness).evaluation().round()).isEqualTo(round);
                asked.addAll(its);
                update(harness, all, round + 1);
            }
            assertThat(asked).hasSize(trainers);
        }
    }

    private static List<String> answer(CoordinatorHarness harness, List<String> all)
            throws Exception {
        RoundPlan plan = harness.plan();
        assertThat(plan.state()).isEqualTo(RoundPlan.State.EVALUATING);
        List<String> asked = all.stream().filter(plan.asked()::has).toList();
        for (String trainer : all) {
            say(harness, trainer, plan.model().round(), 1, asked.contains(trainer) ? 1 : 0);
        }
        assertThat(harness.plan().state()).isEqualTo(RoundPlan.State.OPEN);
        assertThat(harness.plan().measured()).containsEntry("accuracy", 1.0);
        return asked;
    }

    private static void update(CoordinatorHarness harness, List<String> all, int round)
            throws Exception {
        for (String trainer : all) {
            harness.update(trainer, round, 0, 1);
        }
    }
}
