// SPDX-License-Identifier: Apache-2.0

package io.tributary.trainer;

import io.tributary.protocol.message.Evaluation;
import io.tributary.protocol.message.RoundPlan;
import java.util.Optional;

/** Answers a job that asks what models are worth. Not thread-safe. */
final class EvaluationAnswers {

    private final ModelEvaluator evaluator;
    private final TrainerConnection connection;
    private Optional<RoundPlan> last = Optional.empty();

    EvaluationAnswers(ModelEvaluator evaluator, TrainerConnection connection) {
        this.evaluator = evaluator;
        this.connection = connection;
    }

    /** The plan that was answered last. A job that is restored asks by another one. */
    Optional<RoundPlan> last() {
        return last;
    }

    /** Says what a model is worth, or that this trainer does not know: the job waits for it. */
    void answer(RoundPlan plan, TrainingRound round) {
        ModelEvaluator.Result found = evaluator.evaluate(round);
        connection.evaluate(
                new Evaluation(
                        plan.run(),
                        plan.modelRound(),
                        plan.modelEpoch(),
                        found.metrics(),
                        found.samples(),
                        ""));
        last = Optional.of(plan);
    }
}
