// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.optimizer;

import io.tributary.operators.rule.Parameters;

/**
 * The model goes towards the aggregate: w = w + η·Δ. With η = 1, the aggregate is the new model
 * (McMahan et al., AISTATS 2017, algorithm 1).
 *
 * @param rate η
 */
public record FedAvg(Schedule rate) implements ServerOptimizer {

    private static final long serialVersionUID = 1L;

    /** Takes learning-rate and its schedule. */
    static FedAvg of(Parameters parameters) {
        return new FedAvg(Schedule.of(parameters, 1));
    }

    @Override
    public boolean remembers() {
        return !rate.isConstant();
    }

    @Override
    public void step(TensorStep step) {
        if (rate.isOne()) {
            step.takeMean();
        } else {
            step.move(rate.at(step.steps()));
        }
    }
}
