// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.rule;

import java.io.Serializable;
import java.util.Locale;

/**
 * A metric that each update must have, because the rule computes with it. A trainer says what it
 * likes, so the range bounds what it can do to the others.
 *
 * @param name as trainers send it
 * @param least the least that it may be
 * @param most the most that it may be
 */
public record RequiredMetric(String name, double least, double most) implements Serializable {

    private static final long serialVersionUID = 1L;

    /** The steps of SGD that were made. */
    public static final RequiredMetric STEPS = new RequiredMetric("steps", 1, 1e9);

    /** The loss of the model that the trainer got, on its own data. */
    public static final RequiredMetric LOSS_BEFORE = new RequiredMetric("loss-before", 0, 1e6);

    /**
     * ‖wₖ − w‖², the sum over all floating tensors of the model; Tributary's clients compute it.
     */
    public static final RequiredMetric SQUARED_NORM = new RequiredMetric("squared-norm", 0, 1e30);

    /** Whether an update may have this value. */
    public boolean allows(double value) {
        return value >= least && value <= most;
    }

    /** What is expected, for people. */
    public String expected() {
        return String.format(Locale.ROOT, "%.0f to %.0e", least, most);
    }
}
