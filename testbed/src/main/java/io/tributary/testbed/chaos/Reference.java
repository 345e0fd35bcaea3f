// SPDX-License-Identifier: Apache-2.0

package io.tributary.testbed.chaos;

import io.tributary.protocol.message.RoundLedger;
import java.util.List;
import java.util.Map;
import java.util.function.Supplier;
import java.util.stream.IntStream;

/**
 * What an algorithm says of the next model, written from its paper in float64. It remembers what
 * the algorithm does, so it is asked round after round. Not thread-safe.
 */
abstract class Reference {

    private static final Map<String, Supplier<Reference>> BY_NAME =
            Map.of("fedavg", Mean::new, "fedadam", Adam::new, "scaffold", Control::new);

    /** The algorithms that can be checked. */
    static List<String> names() {
        return BY_NAME.keySet().stream().sorted().toList();
    }

    /** That of an algorithm with its defaults. */
    static Reference of(String algorithm) {
        return BY_NAME.get(algorithm).get();
    }

    /**
     * The new elements of a tensor.
     *
     * @param model the elements from which trainers started
     * @param updates of each entry of the ledger, what it sent
     */
    abstract double[] next(String tensor, float[] model, List<float[]> updates, RoundLedger ledger);

    /** The mean of weights, by element. */
    private static double[] mean(List<float[]> updates, double[] weights) {
        double[] mean = new double[ChaosUpdates.ELEMENTS];
        double total = 0;
        for (double weight : weights) {
            total += weight;
        }
        for (int k = 0; k < weights.length; k++) {
            float[] values = updates.get(k);
            for (int i = 0; i < mean.length; i++) {
                mean[i] += weights[k] * values[i] / total;
            }
        }
        return mean;
    }

    private static double[] samples(RoundLedger ledger) {
        return ledger.updates().stream().mapToDouble(RoundLedger.Entry::samples).toArray();
    }

    /** McMahan et al., AISTATS 2017. */
    private static final class Mean extends Reference {

        @Override
        double[] next(String tensor, float[] model, List<float[]> updates, RoundLedger ledger) {
            return mean(updates, samples(ledger));
        }
    }

    /** Reddi et al., ICLR 2021, algorithm 2, with v = τ² at first. */
    private static final class Adam extends Reference {

        private static final double TAU = 0.001;

        private final double[] m = new double[ChaosUpdates.ELEMENTS];
        private final double[] v =
                IntStream.range(0, ChaosUpdates.ELEMENTS).mapToDouble(i -> TAU * TAU).toArray();

        @Override
        double[] next(String tensor, float[] model, List<float[]> updates, RoundLedger ledger) {
            double[] next = mean(updates, samples(ledger));
            for (int i = 0; i < next.length; i++) {
                double change = next[i] - model[i];
                m[i] = 0.9 * m[i] + 0.1 * change;
                v[i] = 0.99 * v[i] + 0.01 * change * change;
                next[i] = model[i] + 0.01 * m[i] / (Math.sqrt(v[i]) + TAU);
            }
            return next;
        }
    }

    /** Karimireddy et al., ICML 2020, algorithm 1. */
    private static final class Control extends Reference {

        @Override
        double[] next(String tensor, float[] model, List<float[]> updates, RoundLedger ledger) {
            double[] next = mean(updates, updates.stream().mapToDouble(u -> 1).toArray());
            if (!tensor.equals(ChaosUpdates.TENSOR)) {
                double part = (double) updates.size() / ledger.trainers();
                for (int i = 0; i < next.length; i++) {
                    next[i] = model[i] + part * (next[i] - model[i]);
                }
            }
            return next;
        }
    }
}
