// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.optimizer;

import java.util.List;

/**
 * FedDyn's server for trainers that keep their own state, as Flame's have. hₖ is how far trainer k
 * has gone in all rounds together. S are the updates that count:
 *
 * <pre>
 * w = Σ wₖ / |S|
 * h = Σ hₖ / |S|
 * </pre>
 *
 * <p>Trainers begin at w + h. Each keeps its hₖ and sends it as a tensor set, so the server keeps
 * nothing for each of them.
 */
public record FedDynHistory() implements ServerOptimizer {

    private static final long serialVersionUID = 1L;

    /** The set: hₖ in updates, h in models. */
    public static final String HISTORY = "history";

    /**
     * A metric of each answer of a trainer, 1 / nₖ, which the job adds. Its mean weighted by
     * samples is the number of trainers by that of all samples.
     */
    public static final String INVERSE_SAMPLES = "inverse-samples";

    @Override
    public List<String> sets() {
        return List.of(HISTORY);
    }

    @Override
    public void step(TensorStep step) {
        step.takeMean();
    }
}
