// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.optimizer;

import io.tributary.operators.rule.Parameters;
import java.util.List;

/**
 * FedDyn's server (Acar et al., ICLR 2021, algorithm 1), with S the updates that count and N the
 * trainers:
 *
 * <pre>
 * h = h − α·|S| / N·Δ
 * w = w + Δ − h / α
 * </pre>
 *
 * @param alpha α, the same as that of the trainers' term, &gt; 0
 */
public record FedDyn(double alpha) implements ServerOptimizer {

    private static final long serialVersionUID = 1L;
    private static final String H = "h";

    /** What it takes. */
    static final String ALPHA = "alpha";

    @Override
    public List<String> slots() {
        return List.of(H);
    }

    @Override
    public void step(TensorStep step) {
        double[] w = step.model();
        double[] change = step.change();
        double[] h = step.slot(H);
        double part = alpha * step.counted() / step.trainers();
        for (int i = 0; i < w.length; i++) {
            h[i] -= part * change[i];
            w[i] += change[i] - h[i] / alpha;
        }
        step.write(w);
    }

    /** Takes alpha. */
    static FedDyn of(Parameters parameters) {
        return new FedDyn(parameters.positive(ALPHA, 0.01));
    }
}
