// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.aggregate;

import io.tributary.operators.optimizer.Algorithm;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/**
 * What a paper or a framework says of one element, in float64.
 *
 * @param name the algorithm
 * @param parameters what it is given
 * @param slots how many numbers are remembered
 * @param step the formula
 */
record OptimizerFormula(String name, Map<String, String> parameters, int slots, Step step) {

    /** A step. */
    @FunctionalInterface
    interface Step {

        /**
         * The new element.
         *
         * @param t steps before this one
         * @param w the element
         * @param d what changed
         * @param s what is remembered; is changed
         */
        double next(int t, double w, double d, double[] s);
    }

    Algorithm algorithm() {
        return Algorithm.named(name, parameters);
    }

    @Override
    public String toString() {
        return name + parameters;
    }

    private static OptimizerFormula of(String name, int slots, Step step, String... parameters) {
        Map<String, String> given = new TreeMap<>();
        for (String parameter : parameters) {
            String[] both = parameter.split("=");
            given.put(both[0], both[1]);
        }
        return new OptimizerFormula(name, given, slots, step);
    }

    private static double ema(double before, double now, double beta) {
        return beta * before + (1 - beta) * now;
    }

    private static double sq(double x) {
        return x * x;
    }

    static List<OptimizerFormula> all() {
        return List.of(
                of("fedavg", 0, (t, w, d, s) -> w + d),
                of("fedavg", 0, (t, w, d, s) -> w + 0.5 * d, "learning-rate=0.5"),
                of(
                        "fedavg",
                        0,
                        (t, w, d, s) -> w + (0.1 + 0.45 * (1 + Math.cos(Math.PI * t / 7))) * d,
                        "schedule=cosine",
                        "schedule-rounds=7",
                        "schedule-minimum=0.1"),
                of(
                        "fedavg",
                        0,
                        (t, w, d, s) -> w + 2 * Math.pow(0.5, Math.floor(t / 3.0)) * d,
                        "learning-rate=2",
                        "schedule=step",
                        "schedule-rounds=3",
                        "schedule-factor=0.5"),
                of(
                        "fedavg",
                        0,
                        (t, w, d, s) -> w + 0.5 * d,
                        "learning-rate=0.5",
                        "schedule=cosine",
                        "schedule-minimum=0.5"),
                of("fedavgm", 1, (t, w, d, s) -> w + (s[0] = 0.9 * s[0] + d)),
                of("fedavgm", 1, (t, w, d, s) -> w + d, "flavor=flower"),
                of(
                        "fedavgm",
                        1,
                        (t, w, d, s) ->
                                w
                                        + (0.9 + 0.05 * (1 + Math.cos(Math.PI * t / 3)))
                                                * (s[0] = 0.6 * s[0] + d),
                        "flavor=nvflare"),
                of(
                        "fedavgm",
                        1,
                        (t, w, d, s) -> w + 0.3 * (s[0] = 0.2 * s[0] + d),
                        "learning-rate=0.3",
                        "momentum=0.2"),
                of(
                        "fedadagrad",
                        1,
                        (t, w, d, s) -> {
                            s[0] = (t == 0 ? 1e-6 : s[0]) + sq(d);
                            return w + 0.01 * d / (Math.sqrt(s[0]) + 0.001);
                        }),
                of(
                        "fedadagrad",
                        2,
                        (t, w, d, s) -> {
                            if (t == 0) {
                                return w + d;
                            }
                            s[0] = ema(s[0], d, 0.9);
                            s[1] += sq(d);
                            return w + 0.01 * s[0] / (Math.sqrt(s[1]) + 0.001);
                        },
                        "flavor=flame"),
                of(
                        "fedadagrad",
                        1,
                        (t, w, d, s) -> {
                            s[0] += sq(d);
                            return w + 0.1 * d / (Math.sqrt(s[0]) + 0.001);
                        },
                        "flavor=flower"),
                of(
                        "fedadagrad",
                        1,
                        (t, w, d, s) -> {
                            s[0] += sq(d);
                            return w + 0.01 * d / (Math.sqrt(s[0]) + 1e-10);
                        },
                        "flavor=nvflare"),
                of(
                        "fedadam",
                        2,
                        (t, w, d, s) -> {
                            s[0] = ema(s[0], d, 0.9);
                            s[1] = ema(t == 0 ? 1e-6 : s[1], sq(d), 0.99);
                            return w + 0.01 * s[0] / (Math.sqrt(s[1]) + 0.001);
                        }),
                of(
                        "fedadam",
                        2,
                        (t, w, d, s) -> {
                            s[0] = ema(s[0], d, 0.8);
                            s[1] = ema(t == 0 ? 1e-4 : s[1], sq(d), 0.95);
                            return w + 0.05 * s[0] / (Math.sqrt(s[1]) + 0.01);
                        },
                        "learning-rate=0.05",
                        "beta1=0.8",
                        "beta2=0.95",
                        "tau=0.01"),
                of(
                        "fedadam",
                        2,
                        (t, w, d, s) -> {
                            if (t == 0) {
                                return w + d;
                            }
                            s[0] = ema(s[0], d, 0.9);
                            s[1] = ema(s[1], sq(d), 0.99);
                            return w + 0.01 * s[0] / (Math.sqrt(s[1]) + 0.001);
                        },
                        "flavor=flame"),
                of(
                        "fedadam",
                        2,
                        (t, w, d, s) -> {
                            // Flower's rounds begin with 1, and its exponent is one more.
                            int round = t + 1;
                            double eta =
                                    0.1
                                            * Math.sqrt(1 - Math.pow(0.99, round + 1))
                                            / (1 - Math.pow(0.9, round + 1));
                            s[0] = ema(s[0], d, 0.9);
                            s[1] = ema(s[1], sq(d), 0.99);
                            return w + eta * s[0] / (Math.sqrt(s[1]) + 0.001);
                        },
                        "flavor=flower"),
                of(
                        "fedadam",
                        2,
                        (t, w, d, s) -> {
                            s[0] = ema(s[0], d, 0.9);
                            s[1] = ema(s[1], sq(d), 0.999);
                            double m = s[0] / (1 - Math.pow(0.9, t + 1));
                            double v = s[1] / (1 - Math.pow(0.999, t + 1));
                            return w + 0.001 * m / (Math.sqrt(v) + 1e-8);
                        },
                        "flavor=nvflare"),
                of(
                        "fedyogi",
                        2,
                        (t, w, d, s) -> {
                            s[0] = ema(s[0], d, 0.9);
                            double v = t == 0 ? 1e-6 : s[1];
                            s[1] = v - 0.01 * sq(d) * Math.signum(v - sq(d));
                            return w + 0.01 * s[0] / (Math.sqrt(s[1]) + 0.001);
                        }),
                of(
                        "fedyogi",
                        2,
                        (t, w, d, s) -> {
                            if (t == 0) {
                                return w + d;
                            }
                            s[0] = ema(s[0], d, 0.9);
                            s[1] -= 0.01 * sq(d) * Math.signum(s[1] - sq(d));
                            return w + 0.01 * s[0] / (Math.sqrt(s[1]) + 0.001);
                        },
                        "flavor=flame"),
                of(
                        "fedyogi",
                        2,
                        (t, w, d, s) -> {
                            s[0] = ema(s[0], d, 0.9);
                            s[1] -= 0.01 * sq(d) * Math.signum(s[1] - sq(d));
                            return w + 0.01 * s[0] / (Math.sqrt(s[1]) + 0.001);
                        },
                        "flavor=flower"),
                of(
                        "feddyn",
                        1,
                        // 3 of 8 trainers.
                        (t, w, d, s) -> {
                            s[0] -= 0.2 * 3 / 8 * d;
                            return w + d - s[0] / 0.2;
                        },
                        "alpha=0.2"));
    }
}
