// SPDX-License-Identifier: Apache-2.0

package io.tributary.trainer;

import java.util.Map;

/** Says what a model is worth, between two rounds, when the job asks its trainers. */
@FunctionalInterface
public interface ModelEvaluator {

    /**
     * Evaluates the model that the next round starts from.
     *
     * @param round has the model and what the job says; no update of it may be sent
     */
    Result evaluate(TrainingRound round);

    /**
     * What was found.
     *
     * @param samples on how many, ≥ 1: the weight of the metrics
     * @param metrics numbers by name
     */
    record Result(long samples, Map<String, Double> metrics) {

        /** This trainer does not know. */
        static final Result NONE = new Result(0, Map.of());

        public Result {
            if (samples < 1 && !metrics.isEmpty()) {
                throw new IllegalArgumentException(
                        "metrics of %d samples, expected 1 or more".formatted(samples));
            }
            metrics = Map.copyOf(metrics);
        }
    }
}
