// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.optimizer;

import io.tributary.operators.rule.EqualMean;
import io.tributary.operators.rule.Parameters;
import java.util.List;
import java.util.Map;

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

    /**
     * Takes alpha, and flavor, which says whether the server remembers how far trainers went, or
     * each trainer.
     */
    static Algorithm of(Parameters parameters) {
        Flavor flavor =
                parameters.choice("flavor", Flavor.PAPER, List.of(Flavor.PAPER, Flavor.FLAME));
        double alpha = parameters.positive(ALPHA, 0.01);
        return new Algorithm(
                new EqualMean(),
                flavor == Flavor.FLAME ? new FedDynHistory() : new FedDyn(alpha),
                Map.of(Algorithm.DYNAMIC_ALPHA, alpha),
                flavor == Flavor.FLAME ? List.of(FedDynHistory.INVERSE_SAMPLES) : List.of());
    }
}
