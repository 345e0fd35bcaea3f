// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.optimizer;

import io.tributary.operators.rule.NormalizedMean;
import io.tributary.operators.rule.Parameters;

/**
 * FedNova's server (Wang et al., NeurIPS 2020, equations 6 and 8, for trainers with plain SGD),
 * with τₖ the local steps of trainer k, and pₖ = nₖ / Σ n:
 *
 * <pre>
 * w = w + η·(Σ pₖ·τₖ)·Σ pₖ·Δₖ / τₖ
 * </pre>
 *
 * @param learningRate η
 */
public record FedNova(Schedule learningRate) implements ServerOptimizer {

    private static final long serialVersionUID = 1L;

    /** Takes learning-rate and its schedule. */
    static Algorithm of(Parameters parameters) {
        return new Algorithm(new NormalizedMean(), new FedNova(Schedule.of(parameters, 1)));
    }

    @Override
    public boolean remembers() {
        return !learningRate.isConstant();
    }

    @Override
    public void step(TensorStep step) {
        double samples = step.total(NormalizedMean.SAMPLES);
        // The mean has been divided by Σ n/τ, and is to be divided by Σ n.
        double normalized = step.weight() / samples;
        double steps = step.total(NormalizedMean.SAMPLE_STEPS) / samples;
        step.move(learningRate.at(step.steps()) * steps * normalized);
    }
}
