// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.optimizer;

import io.tributary.operators.optimizer.Schedule.Form;
import io.tributary.operators.rule.Parameters;
import java.util.List;

/**
 * Momentum on the server (Hsu et al., 2019, section 3), which is PyTorch's SGD with −Δ for the
 * gradient:
 *
 * <pre>
 * m = β·m + Δ
 * w = w + η·m
 * </pre>
 *
 * @param rate η
 * @param momentum β, 0 to 1
 */
public record FedAvgM(Schedule rate, double momentum) implements ServerOptimizer {

    private static final long serialVersionUID = 1L;
    private static final String MOMENTUM = "momentum";

    /** NVFlare's optimizer and schedule, where a job names none. */
    private static final Schedule NVFLARE = new Schedule(Form.COSINE, 1, 3, 0.9);

    /** Takes learning-rate, its schedule, momentum, and the flavor that has the defaults. */
    static FedAvgM of(Parameters parameters) {
        Flavor flavor =
                parameters.choice(
                        "flavor",
                        Flavor.PAPER,
                        List.of(Flavor.PAPER, Flavor.FLOWER, Flavor.NVFLARE));
        return flavor == Flavor.NVFLARE
                ? new FedAvgM(
                        Schedule.of(parameters, NVFLARE), parameters.fraction("momentum", 0.6))
                : new FedAvgM(
                        Schedule.of(parameters, 1),
                        parameters.fraction("momentum", flavor == Flavor.PAPER ? 0.9 : 0));
    }

    @Override
    public List<String> slots() {
        return List.of(MOMENTUM);
    }

    @Override
    public void step(TensorStep step) {
        double[] w = step.model();
        double[] change = step.change();
        double[] m = step.slot(MOMENTUM);
        double eta = rate.at(step.steps());
        for (int i = 0; i < w.length; i++) {
            m[i] = momentum * m[i] + change[i];
            w[i] += eta * m[i];
        }
        step.write(w);
    }
}
