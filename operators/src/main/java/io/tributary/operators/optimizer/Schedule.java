// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.optimizer;

import io.tributary.operators.rule.Parameters;
import java.io.Serializable;
import java.util.List;

/**
 * The server's learning rate in each step, as PyTorch's schedulers of these names compute it. Steps
 * are counted from 0; a round that is rejected is none.
 *
 * @param form how it changes
 * @param rate the first one, &gt; 0
 * @param rounds T: how long a cosine falls, or a step lasts; ≥ 1
 * @param end the least rate of a cosine, ≥ 0, or the factor of a step, &gt; 0
 */
public record Schedule(Form form, double rate, int rounds, double end) implements Serializable {

    private static final long serialVersionUID = 1L;

    /** How a learning rate changes. */
    public enum Form {
        /** η. */
        CONSTANT,
        /** end + (η − end)·(1 + cos(π·t / T)) / 2; it rises again after T rounds. */
        COSINE,
        /** η·end^⌊t / T⌋. */
        STEP
    }

    private static final String RATE = "learning-rate";
    private static final String MINIMUM = "schedule-minimum";

    /** Takes learning-rate, schedule, and what that needs. */
    static Schedule of(Parameters parameters, double defaultRate) {
        return of(parameters, new Schedule(Form.CONSTANT, defaultRate, 10, 0));
    }

    /**
     * The same with other defaults.
     *
     * @param defaults what it is where nothing is given
     */
    static Schedule of(Parameters parameters, Schedule defaults) {
        Form form = parameters.choice("schedule", defaults.form, List.of(Form.values()));
        double rate = parameters.positive(RATE, defaults.rate);
        int rounds =
                form == Form.CONSTANT ? 1 : parameters.count("schedule-rounds", defaults.rounds);
        double end =
                switch (form) {
                    case CONSTANT -> 0;
                    case COSINE -> parameters.notNegative(MINIMUM, defaults.end);
                    case STEP -> parameters.positive("schedule-factor", 0.1);
                };
        if (form == Form.COSINE && end > rate) {
            throw parameters.wrong(MINIMUM, end, "at most the learning rate, " + rate);
        }
        return new Schedule(form, rate, rounds, end);
    }

    /** Whether each step has the same rate. */
    boolean isConstant() {
        return form == Form.CONSTANT;
    }

    /** Whether each step has the rate 1. */
    boolean isOne() {
        return isConstant() && rate == 1;
    }

    /**
     * The rate of a step.
     *
     * @param step from 0 on
     */
    public double at(int step) {
        return switch (form) {
            case CONSTANT -> rate;
            case COSINE -> end + (rate - end) * (1 + Math.cos(Math.PI * step / rounds)) / 2;
            case STEP -> rate * Math.pow(end, step / rounds);
        };
    }
}
