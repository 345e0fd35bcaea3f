// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.optimizer;

import io.tributary.operators.rule.Parameters;
import java.util.List;

/**
 * Adam on the server (Reddi et al., ICLR 2021, algorithm 2), with Δ the aggregate of what changed:
 *
 * <pre>
 * m = β₁·m + (1 − β₁)·Δ
 * v = β₂·v + (1 − β₂)·Δ²
 * w = w + η·m / (√v + τ)
 * </pre>
 *
 * <p>m and v are 0 at first, and there is no correction of their bias.
 *
 * @param learningRate η, &gt; 0
 * @param beta1 β₁, 0 to 1
 * @param beta2 β₂, 0 to 1
 * @param tau τ, how far it adapts at most, &gt; 0
 */
public record FedAdam(double learningRate, double beta1, double beta2, double tau)
        implements ServerOptimizer {

    private static final long serialVersionUID = 1L;
    private static final String M = "m";
    private static final String V = "v";

    /** Takes what it can be given: learning-rate, beta1, beta2 and tau. */
    static FedAdam of(Parameters parameters) {
        return new FedAdam(
                parameters.positive("learning-rate", 0.01),
                parameters.fraction("beta1", 0.9),
                parameters.fraction("beta2", 0.99),
                parameters.positive("tau", 0.001));
    }

    @Override
    public List<String> slots() {
        return List.of(M, V);
    }

    @Override
    public void step(TensorStep step) {
        double[] w = step.model();
        double[] change = step.change();
        double[] m = step.slot(M);
        double[] v = step.slot(V);
        for (int i = 0; i < w.length; i++) {
            m[i] = beta1 * m[i] + (1 - beta1) * change[i];
            v[i] = beta2 * v[i] + (1 - beta2) * change[i] * change[i];
            w[i] += learningRate * m[i] / (Math.sqrt(v[i]) + tau);
        }
        step.write(w);
    }
}
