// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.optimizer;

import io.tributary.memory.kernel.AdaptiveStep;
import io.tributary.operators.rule.Parameters;
import java.util.List;

/**
 * Adagrad, Adam and Yogi on the server (Reddi et al., ICLR 2021, algorithm 2):
 *
 * <pre>
 * m = β₁·m + (1 − β₁)·Δ
 * v = v + Δ²                                 Adagrad
 * v = β₂·v + (1 − β₂)·Δ²                     Adam
 * v = v − (1 − β₂)·Δ²·sign(v − Δ²)           Yogi
 * w = w + η·m / (√v + τ)
 * </pre>
 *
 * <p>m is 0 at first. What v is at first, and whether the bias of both is corrected, is a matter of
 * the {@link Correction}.
 *
 * @param moment how v changes
 * @param rate η
 * @param beta1 β₁, 0 to 1
 * @param beta2 β₂, 0 to 1; Adagrad has none
 * @param tau τ, how far it adapts at most, &gt; 0
 * @param correction what is done in the first steps
 */
public record AdaptiveOptimizer(
        Moment moment, Schedule rate, double beta1, double beta2, double tau, Correction correction)
        implements ServerOptimizer {

    private static final long serialVersionUID = 1L;
    private static final String M = "m";
    private static final String V = "v";

    /** Adagrad's v, which is a sum and no mean, so that neither is taken for the other. */
    private static final String SUM = "sum";

    /** How the second moment changes. */
    public enum Moment {
        ADAGRAD,
        ADAM,
        YOGI
    }

    /** What is done because of moments that begin with 0. */
    public enum Correction {
        /** v begins with τ², the least that the paper allows. */
        INITIAL,
        /** Nothing. */
        NONE,
        /** The first aggregate is taken as it is, and moments begin with the second. */
        FIRST_ROUND,
        /** η·√(1 − β₂^(t+2)) / (1 − β₁^(t+2)) in step t. */
        RATE,
        /** m / (1 − β₁^(t+1)) and v / (1 − β₂^(t+1)) in step t, as PyTorch has it. */
        MOMENTS
    }

    /** Adagrad: takes learning-rate, its schedule, beta1, tau and flavor. */
    static AdaptiveOptimizer adagrad(Parameters parameters) {
        Flavor flavor = flavor(parameters, List.of(Flavor.values()));
        return new AdaptiveOptimizer(
                Moment.ADAGRAD,
                Schedule.of(parameters, rate(flavor, 0.1, 0.01)),
                // PyTorch's has no first moment.
                flavor == Flavor.NVFLARE
                        ? 0
                        : parameters.fraction("beta1", flavor == Flavor.FLAME ? 0.9 : 0),
                0,
                parameters.positive("tau", flavor == Flavor.NVFLARE ? 1e-10 : 0.001),
                flavor == Flavor.FLOWER || flavor == Flavor.NVFLARE
                        ? Correction.NONE
                        : correction(flavor));
    }

    /** Adam: takes learning-rate, its schedule, beta1, beta2, tau and flavor. */
    static AdaptiveOptimizer adam(Parameters parameters) {
        Flavor flavor = flavor(parameters, List.of(Flavor.values()));
        return new AdaptiveOptimizer(
                Moment.ADAM,
                Schedule.of(parameters, rate(flavor, 0.1, 0.001)),
                parameters.fraction("beta1", 0.9),
                parameters.fraction("beta2", flavor == Flavor.NVFLARE ? 0.999 : 0.99),
                parameters.positive("tau", flavor == Flavor.NVFLARE ? 1e-8 : 0.001),
                correction(flavor));
    }

    /** Yogi: takes learning-rate, its schedule, beta1, beta2, tau and flavor. */
    static AdaptiveOptimizer yogi(Parameters parameters) {
        Flavor flavor = flavor(parameters, List.of(Flavor.PAPER, Flavor.FLAME, Flavor.FLOWER));
        return new AdaptiveOptimizer(
                Moment.YOGI,
                Schedule.of(parameters, rate(flavor, 0.01, 0.01)),
                parameters.fraction("beta1", 0.9),
                parameters.fraction("beta2", 0.99),
                parameters.positive("tau", 0.001),
                flavor == Flavor.FLOWER ? Correction.NONE : correction(flavor));
    }

    private static Flavor flavor(Parameters parameters, List<Flavor> known) {
        return parameters.choice("flavor", Flavor.PAPER, known);
    }

    private static double rate(Flavor flavor, double flower, double nvflare) {
        return switch (flavor) {
            case PAPER, FLAME -> 0.01;
            case FLOWER -> flower;
            case NVFLARE -> nvflare;
        };
    }

    private static Correction correction(Flavor flavor) {
        return switch (flavor) {
            case PAPER -> Correction.INITIAL;
            case FLAME -> Correction.FIRST_ROUND;
            case FLOWER -> Correction.RATE;
            case NVFLARE -> Correction.MOMENTS;
        };
    }

    @Override
    public List<String> slots() {
        return List.of(M, second());
    }

    @Override
    public double initial(String slot) {
        return correction == Correction.INITIAL && slot.equals(second()) ? tau * tau : 0;
    }

    @Override
    public void step(TensorStep step) {
        int t = step.steps();
        if (t == 0 && correction == Correction.FIRST_ROUND) {
            step.takeMean();
            return;
        }
        double eta = rate.at(t);
        double scale = 1;
        switch (correction) {
            case RATE ->
                    eta *= Math.sqrt(1 - Math.pow(beta2, t + 2)) / (1 - Math.pow(beta1, t + 2));
            case MOMENTS -> {
                eta /= 1 - Math.pow(beta1, t + 1);
                scale = 1 / Math.sqrt(1 - Math.pow(beta2, t + 1));
            }
            default -> {}
        }
        double keep = moment == Moment.ADAGRAD ? 1 : beta2;
        double add = moment == Moment.ADAGRAD ? 1 : 1 - beta2;
        step.adapt(
                new AdaptiveStep(beta1, keep, add, moment == Moment.YOGI, eta, scale, tau),
                M,
                second());
    }

    private String second() {
        return moment == Moment.ADAGRAD ? SUM : V;
    }
}
