// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.optimizer;

import io.tributary.operators.rule.LossMean;
import io.tributary.operators.rule.Parameters;

/**
 * q-FedAvg's server (Li et al., ICLR 2020, algorithm 2), with Fₖ the loss of trainer k before it
 * trains, and L = 1 / η of the trainers:
 *
 * <pre>
 * hₖ = q·Fₖ^(q − 1)·‖L·Δₖ‖² + L·Fₖ^q
 * w = w + L·Σ Fₖ^q·Δₖ / Σ hₖ
 * </pre>
 *
 * @param rule how much each update weighs
 */
public record QFedAvg(LossMean rule) implements ServerOptimizer {

    private static final long serialVersionUID = 1L;

    /** Takes q and client-learning-rate. */
    static Algorithm of(Parameters parameters) {
        LossMean rule =
                new LossMean(
                        parameters.notNegative("q", 0.1),
                        1 / parameters.positive("client-learning-rate", 0.1));
        return new Algorithm(rule, new QFedAvg(rule));
    }

    @Override
    public void step(TensorStep step) {
        // The mean has been divided by Σ Fₖ^q.
        step.move(rule.lipschitz() * step.weight() / step.total(LossMean.SUM_OF_H));
    }
}
