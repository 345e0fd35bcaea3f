// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.rule;

import java.io.Serializable;

/**
 * A metric that each update must have, because the rule computes with it.
 *
 * @param name as trainers send it
 * @param zero whether it may be 0; it is never less
 */
public record RequiredMetric(String name, boolean zero) implements Serializable {

    private static final long serialVersionUID = 1L;

    /** The steps of SGD that were made. */
    public static final RequiredMetric STEPS = new RequiredMetric("steps", false);

    /** The loss of the model that the trainer got, on its own data. */
    public static final RequiredMetric LOSS_BEFORE = new RequiredMetric("loss-before", true);

    /**
     * ‖wₖ − w‖², the sum over all floating tensors of the model; Tributary's clients compute it.
     */
    public static final RequiredMetric SQUARED_NORM = new RequiredMetric("squared-norm", true);

    /** Whether an update may have this value. */
    public boolean allows(double value) {
        return Double.isFinite(value) && (value > 0 || zero && value == 0);
    }

    /** What is expected, for people. */
    public String expected() {
        return zero ? "0 or more" : "more than 0";
    }
}
