// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.optimizer;

import io.tributary.operators.rule.AggregationRule;
import io.tributary.operators.rule.EqualMean;
import io.tributary.operators.rule.Parameters;
import io.tributary.operators.rule.WeightedMean;
import java.util.List;

/**
 * SCAFFOLD's server (Karimireddy et al., ICML 2020, algorithm 1), with S the updates that count and
 * N the trainers:
 *
 * <pre>
 * w = w + η·mean(Δw)
 * c = c + |S| / N·mean(Δc)
 * </pre>
 *
 * <p>The control variate c is a tensor set, which trainers read and send as they do the weights.
 * NVFlare leaves |S| / N out: its c moves by the mean of those that sent, however few.
 *
 * @param learningRate η
 * @param scaled whether c moves by |S| / N of the mean, and not by all of it
 */
public record Scaffold(Schedule learningRate, boolean scaled) implements ServerOptimizer {

    private static final long serialVersionUID = 1L;

    /** The set. */
    public static final String CONTROL = "control";

    /**
     * Takes learning-rate and its schedule, and flavor, which says how means are weighted and c
     * moves.
     */
    static Algorithm of(Parameters parameters) {
        Flavor flavor =
                parameters.choice(
                        "flavor",
                        Flavor.PAPER,
                        List.of(Flavor.PAPER, Flavor.FLAME, Flavor.NVFLARE));
        AggregationRule rule = flavor == Flavor.PAPER ? new EqualMean() : new WeightedMean();
        return new Algorithm(
                rule, new Scaffold(Schedule.of(parameters, 1), flavor != Flavor.NVFLARE));
    }

    @Override
    public boolean remembers() {
        return !learningRate.isConstant();
    }

    @Override
    public List<String> sets() {
        return List.of(CONTROL);
    }

    @Override
    public void step(TensorStep step) {
        if (step.set().equals(CONTROL)) {
            step.move(scaled ? (double) step.counted() / step.trainers() : 1);
        } else {
            step.move(learningRate.at(step.steps()));
        }
    }
}
