// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.optimizer;

/** The aggregate is the new model (McMahan et al., AISTATS 2017, algorithm 1). */
public record FedAvg() implements ServerOptimizer {

    private static final long serialVersionUID = 1L;

    @Override
    public void step(TensorStep step) {
        step.takeMean();
    }
}
