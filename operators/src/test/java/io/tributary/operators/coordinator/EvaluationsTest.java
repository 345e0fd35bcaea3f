// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.coordinator;

import static org.assertj.core.api.Assertions.assertThat;

import io.tributary.operators.optimizer.Algorithm;
import io.tributary.operators.testutils.CoordinatorHarness;
import io.tributary.operators.testutils.TestModels;
import io.tributary.operators.testutils.Topologies;
import io.tributary.protocol.Json;
import io.tributary.protocol.RejectReason;
import io.tributary.protocol.message.Claim;
import io.tributary.protocol.message.ControlMessage;
import io.tributary.protocol.message.ControlMessage.Type;
import io.tributary.protocol.message.DeadLetter;
import io.tributary.protocol.message.Evaluation;
import io.tributary.protocol.message.MetricSummary;
import io.tributary.protocol.message.PayloadRef;
import io.tributary.protocol.message.RoundId;
import io.tributary.protocol.message.RoundLedger;
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
import org.apache.flink.runtime.checkpoint.OperatorSubtaskState;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class EvaluationsTest {

    private static final Duration LINGER = Duration.ofMinutes(1);

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

    private CoordinatorHarness harness(String evaluator, OperatorSubtaskState... restored)
            throws Exception {
        return harness(CoordinatorHarness.RUN, evaluator, restored);
    }

    private CoordinatorHarness harness(Run run, String evaluator, OperatorSubtaskState... restored)
            throws Exception {
        return new CoordinatorHarness(
                run,
                Topologies.of(List.of(2, 1), 1),
                new RoundRules(
                        3,
                        new RoundRules.Quorum(2, 2),
                        new RoundRules.Patience(Duration.ZERO, Duration.ZERO, LINGER),
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
                        RoundRules.Goal.NONE),
                TestModels.spec(model, 2, UpdateKind.WEIGHTS),
                restored);
    }

    private static Evaluation said(int round, double accuracy, String stop) {
        return new Evaluation(
                CoordinatorHarness.RUN.id(), round, 0, Map.of("accuracy", accuracy), stop);
    }

    private static void evaluate(CoordinatorHarness harness, String from, Evaluation evaluation)
            throws Exception {
        say(harness, from, evaluation);
        harness.tick();
    }

    private static void say(CoordinatorHarness harness, String from, Evaluation evaluation)
            throws Exception {
        harness.send(
                new TrainerEvent.Control(
                        new ControlMessage(
                                Type.EVALUATION,
                                CoordinatorHarness.JOB,
                                from,
                                "i",
                                "evaluator",
                                evaluation)));
    }

    private static void begin(CoordinatorHarness harness) throws Exception {
        harness.join("a", "g0");
        harness.join("b", "g1");
    }

    private static void round(CoordinatorHarness harness, int round) throws Exception {
        harness.update("a", round, 0, round);
        harness.update("b", round, 0, round);
    }

    private static RoundStatus status(CoordinatorHarness harness) {
        List<RoundStatus> all = harness.statuses();
        return all.get(all.size() - 1);
    }

    private static DeadLetter letter(CoordinatorHarness harness) {
        List<DeadLetter> all = harness.side(CoordinatorOutputs.DEAD_LETTERS);
        return all.get(all.size() - 1);
    }

    @Test
    void whatTheEvaluatorSaysIsShownAndWrittenDownOnce() throws Exception {
        try (CoordinatorHarness harness = harness("judge")) {
            begin(harness);
            round(harness, 1);
            evaluate(harness, "judge", said(1, 0.5, ""));
            int shown = harness.statuses().size();
            // It had not seen that it was heard.
            evaluate(harness, "judge", said(1, 0.5, ""));

            assertThat(status(harness).evaluation()).isEqualTo(said(1, 0.5, ""));
            assertThat(harness.statuses()).hasSize(shown + 1);
            assertThat(harness.side(CoordinatorOutputs.EVALUATIONS))
                    .containsExactly(said(1, 0.5, ""));
            assertThat(harness.plan().state()).isEqualTo(RoundPlan.State.OPEN);
        }
    }

    @Test
    void nobodyElseIsHeard() throws Exception {
        try (CoordinatorHarness harness = harness("judge")) {
            begin(harness);
            round(harness, 1);
            evaluate(harness, "a", said(1, 1, "I am done"));
            assertThat(letter(harness).reason()).isEqualTo(RejectReason.UNKNOWN_TRAINER);
            assertThat(letter(harness).text())
                    .isEqualTo(
                            "evaluation of model 1.0: the job's evaluator is 'judge' (rounds.evaluator)");
            assertThat(status(harness).evaluation()).isNull();
            assertThat(harness.side(CoordinatorOutputs.EVALUATIONS)).isEmpty();
        }
        try (CoordinatorHarness harness = harness("")) {
            begin(harness);
            round(harness, 1);
            evaluate(harness, "judge", said(1, 1, "enough"));
            assertThat(letter(harness).text()).contains("the job has no evaluator");
        }
    }

    @Test
    void onlyModelsOfThisRunAreEvaluatedAndNoneAfterANewerOne() throws Exception {
        try (CoordinatorHarness harness = harness("judge")) {
            begin(harness);
            round(harness, 1);
            evaluate(harness, "judge", said(2, 0.5, ""));
            assertThat(letter(harness).reason()).isEqualTo(RejectReason.STALE_EPOCH);
            assertThat(letter(harness).text()).contains("the newest is 1.0");
            evaluate(
                    harness,
                    "judge",
                    new Evaluation("another", 1, 0, Map.of("accuracy", 0.5), "stop"));
            assertThat(letter(harness).text()).contains("another run");
            round(harness, 2);
            evaluate(harness, "judge", said(2, 0.6, ""));
            evaluate(harness, "judge", said(1, 0.5, ""));
            assertThat(letter(harness).reason()).isEqualTo(RejectReason.LATE);
            assertThat(harness.side(CoordinatorOutputs.EVALUATIONS))
                    .containsExactly(said(2, 0.6, ""));
        }
    }

    @Test
    void theRoundThatIsOpenIsTheLastWhenTheEvaluatorSaysEnough() throws Exception {
        try (CoordinatorHarness harness = harness("judge")) {
            begin(harness);
            round(harness, 1);
            evaluate(harness, "judge", said(1, 0.99, "0.99 is enough"));
            assertThat(harness.plan().state()).isEqualTo(RoundPlan.State.OPEN);
            assertThat(status(harness).evaluation().stop()).isEqualTo("0.99 is enough");
            round(harness, 2);
            assertThat(harness.plan().state()).isEqualTo(RoundPlan.State.FINISHED);
            assertThat(harness.plan().model().round()).isEqualTo(2);
            assertThat(harness.plan().round()).isEqualTo(2);
        }
    }

    @Test
    void withNoRoundOpenTheJobIsFinishedAtOnce() throws Exception {
        try (CoordinatorHarness harness = harness("judge")) {
            begin(harness);
            harness.control(Type.LEAVE, "b", "i-b", "g1");
            harness.update("a", 1, 0, 1);
            // Below the quorum nothing closes; so one more comes, and both go.
            harness.join("b", "g1");
            harness.control(Type.LEAVE, "a", "i-a", "g0");
            harness.update("b", 1, 0, 1);
            assertThat(status(harness).state()).isEqualTo(RoundStatus.State.CLOSED);
            evaluate(harness, "judge", said(1, 0.99, "enough"));
            assertThat(harness.plan().state()).isEqualTo(RoundPlan.State.FINISHED);
            assertThat(harness.plan().model().round()).isEqualTo(1);
        }
    }

    @Test
    void theJobWaitsForTheWordAboutItsLastModelButNotForEver() throws Exception {
        for (boolean heard : List.of(true, false)) {
            try (CoordinatorHarness harness = harness("judge")) {
                begin(harness);
                for (int round = 1; round <= 3; round++) {
                    round(harness, round);
                }
                harness.control(Type.LEAVE, "a", "i-a", "g0");
                harness.control(Type.LEAVE, "b", "i-b", "g1");
                harness.tick();
                assertThat(harness.plan().state()).isEqualTo(RoundPlan.State.FINISHED);
                if (heard) {
                    say(harness, "judge", said(3, 0.7, ""));
                } else {
                    harness.run(LINGER);
                }
                assertThat(harness.plan().state()).isEqualTo(RoundPlan.State.ENDED);
                assertThat(status(harness).evaluation())
                        .as("shown although there is no tick any more")
                        .isEqualTo(heard ? said(3, 0.7, "") : null);
            }
        }
    }

    @Test
    void aRestoredJobKnowsWhatWasSaid() throws Exception {
        OperatorSubtaskState state;
        try (CoordinatorHarness harness = harness("judge")) {
            begin(harness);
            round(harness, 1);
            measured(harness, "a", 2, 0.25, 1);
            evaluate(harness, "judge", said(1, 0.99, "enough"));
            state = harness.snapshot(1);
        }
        try (CoordinatorHarness harness = harness("judge", state)) {
            // The same once more: its first word may have come after the checkpoint.
            evaluate(harness, "judge", said(1, 0.99, "enough"));
            assertThat(harness.side(CoordinatorOutputs.EVALUATIONS)).isEmpty();
            assertThat(status(harness).evaluation()).isEqualTo(said(1, 0.99, "enough"));
            assertThat(status(harness).metrics()).isEqualTo(Map.of("loss", 0.25));
            measured(harness, "b", 2, 0.75, 3);
            assertThat(harness.plan().state()).isEqualTo(RoundPlan.State.FINISHED);
        }
    }

    @Test
    void whatEndsOneRunDoesNotEndTheNext() throws Exception {
        OperatorSubtaskState state;
        try (CoordinatorHarness harness = harness("judge")) {
            begin(harness);
            round(harness, 1);
            evaluate(harness, "judge", said(1, 0.99, "enough"));
            state = harness.snapshot(1);
        }
        try (CoordinatorHarness harness = harness(Run.of("another"), "judge", state)) {
            harness.tick();
            RoundId now = harness.plan().id();
            harness.update("a", now.round(), now.epoch(), 2);
            harness.update("b", now.round(), now.epoch(), 2);
            assertThat(harness.plan().state()).isEqualTo(RoundPlan.State.OPEN);
            assertThat(harness.plan().round()).isEqualTo(3);
        }
    }

    private static void measured(
            CoordinatorHarness harness, String trainer, int round, double loss, long samples)
            throws Exception {
        Claim claim =
                CoordinatorHarness.claim(
                        trainer, round, 0, samples, round, new PayloadRef("/x", 0, 1, 0));
        harness.send(
                new TrainerEvent.UpdateStaged(
                        new Claim(
                                claim.job(),
                                trainer,
                                round,
                                0,
                                claim.attempt(),
                                samples,
                                claim.kind(),
                                claim.crc32c(),
                                true,
                                claim.payload(),
                                Map.of("loss", loss))));
        harness.tick();
    }

    @Test
    void whatTrainersMeasureIsShownAsAMeanWeightedBySamples() throws Exception {
        try (CoordinatorHarness harness = harness("")) {
            begin(harness);
            measured(harness, "a", 1, 0.25, 1);
            measured(harness, "b", 1, 0.75, 3);
            RoundStatus closed =
                    harness.statuses().stream()
                            .filter(s -> s.state() == RoundStatus.State.CLOSED)
                            .findFirst()
                            .orElseThrow();
            assertThat(closed.metrics()).isEqualTo(Map.of("loss", (0.25 + 3 * 0.75) / 4));
            MetricSummary a = new MetricSummary(1, 0.25, 0.25, 0.25, 0.25);
            MetricSummary b = new MetricSummary(1, 0.75, 0.75, 0.75, 0.75);
            MetricSummary both = new MetricSummary(2, (0.25 + 3 * 0.75) / 4, 1, 0.25, 0.75);
            assertThat(closed.summaries()).isEqualTo(Map.of("loss", both));
            assertThat(closed.groups().values())
                    .extracting(RoundStatus.GroupStatus::metrics)
                    .containsExactlyInAnyOrder(Map.of("loss", a), Map.of("loss", b));
            RoundLedger ledger = harness.side(CoordinatorOutputs.LEDGERS).get(0).ledger();
            assertThat(ledger.metrics()).isEqualTo(Map.of("loss", both));
            assertThat(ledger.groups().values())
                    .containsExactlyInAnyOrder(Map.of("loss", a), Map.of("loss", b));
            assertThat(ledger.trainers()).isEqualTo(2);
            assertThat(Json.decode(Json.encode(ledger), RoundLedger.class)).isEqualTo(ledger);
            harness.tick();
            assertThat(status(harness).metrics()).as("the next round's").isEmpty();
        }
    }
}
