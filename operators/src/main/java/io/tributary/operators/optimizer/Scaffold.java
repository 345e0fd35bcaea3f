// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.optimizer;

import io.tributary.operators.rule.Parameters;
import io.tributary.protocol.tensor.TensorInfo;
import java.util.List;
import java.util.Optional;

/**
 * SCAFFOLD's server (Karimireddy et al., ICML 2020, algorithm 1), with S the updates that count and
 * N the trainers:
 *
 * <pre>
 * w = w + η·mean(Δw)
 * c = c + |S| / N·mean(Δc)
 * </pre>
 *
 * <p>The control variate c is part of the model: beside each floating tensor {@code NAME} stands
 * {@code control/NAME}, which trainers read and send as they do the weights. Means are weighted by
 * samples.
 *
 * @param learningRate η
 */
public record Scaffold(Schedule learningRate) implements ServerOptimizer {

    private static final long serialVersionUID = 1L;

    /** What the name of a control variate begins with. */
    public static final String CONTROL = "control/";

    /** Takes learning-rate and its schedule. */
    static Scaffold of(Parameters parameters) {
        return new Scaffold(Schedule.of(parameters, 1));
    }

    @Override
    public boolean remembers() {
        return !learningRate.isConstant();
    }

    @Override
    public void check(List<TensorInfo> tensors) {
        for (TensorInfo tensor : tensors) {
            if (tensor.name().startsWith(CONTROL) || !tensor.dtype().floating()) {
                continue;
            }
            Optional<TensorInfo> control =
                    tensors.stream()
                            .filter(t -> t.name().equals(CONTROL + tensor.name()))
                            .findFirst();
            if (control.isEmpty()
                    || !control.get().shape().equals(tensor.shape())
                    || !control.get().dtype().floating()) {
                throw new IllegalArgumentException(
                        "tensor '%s' of the model has no control variate; add a floating tensor '%s%s' of shape %s, all zero"
                                .formatted(tensor.name(), CONTROL, tensor.name(), tensor.shape()));
            }
        }
    }

    @Override
    public void step(TensorStep step) {
        double rate =
                step.tensor().startsWith(CONTROL)
                        ? (double) step.counted() / step.trainers()
                        : learningRate.at(step.steps());
        double[] model = step.model();
        double[] change = step.change();
        for (int i = 0; i < model.length; i++) {
            model[i] += rate * change[i];
        }
        step.write(model);
    }
}
