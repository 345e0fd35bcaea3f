// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.optimizer;

import io.tributary.operators.rule.Parameters;
import io.tributary.operators.rule.WeightedMean;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/**
 * FedGFT (Wang et al., 2023, arXiv:2305.09931): trainers make the model fair to two groups over the
 * data of all. Before each round they say how fair it is on their own data, as means over their
 * samples: a, b, c and d. The means over all samples give the bias a/b − c/d, by which they then
 * train. The job takes the mean of what comes, as FedAvg does.
 */
public final class FedGft {

    /** In a plan's config, what is to be equal for both groups: SP, EOP or CAL. */
    public static final String FAIRNESS = "fairness";

    /** In a plan's config, how much the bias weighs, ≥ 0. */
    public static final String GAMMA = "fairness-gamma";

    /**
     * In a plan's config, what is made small: the bias's square (l2) or its absolute value (id).
     */
    public static final String REGULARIZER = "fairness-regularizer";

    /** The metrics that trainers answer with, a, b, c and d. */
    public static final List<String> STATISTICS =
            List.of("fairness-a", "fairness-b", "fairness-c", "fairness-d");

    /** What is to be equal for both groups. */
    public enum Fairness {
        /** How often the favourable outcome is predicted: statistical parity. */
        SP,
        /** The same, of those that have it: equal opportunity. */
        EOP,
        /** How many of those that it is predicted for have it: calibration. */
        CAL
    }

    /** What is made small. */
    public enum Regularizer {
        L2,
        ID
    }

    private FedGft() {}

    static Algorithm of(Parameters given) {
        return new Algorithm(
                new WeightedMean(),
                FedAvg.of(given),
                Map.of(
                        FAIRNESS,
                        given.choice("fair", Fairness.SP, List.of(Fairness.values())).name(),
                        GAMMA,
                        given.notNegative("gamma", 1),
                        REGULARIZER,
                        given.choice("reg", Regularizer.L2, List.of(Regularizer.values()))
                                .name()
                                .toLowerCase(Locale.ROOT)),
                STATISTICS);
    }
}
