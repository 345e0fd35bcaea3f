// SPDX-License-Identifier: Apache-2.0

package io.tributary.testbed.digits;

import io.tributary.operators.optimizer.FedGft;
import io.tributary.trainer.TrainingRound;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;

/**
 * FedGFT's part of a trainer. The digits have no people in them, so what is fair is made up: the
 * favourable outcome is a digit from 5 on, and the groups are images of little and of much ink.
 *
 * @param kind what is to be equal
 * @param coefficient what the gradient of a/b − c/d is multiplied by: γ times the bias or its sign
 * @param global a, b, c and d over the data of all trainers
 */
record Fairness(FedGft.Fairness kind, double coefficient, List<Double> global) {

    /** MNIST's mean. */
    private static final double MUCH = 0.13;

    private static final int FAVOURABLE = 5;

    /** What a round's plan asks for; empty where it does not, or where nobody could say it. */
    static Optional<Fairness> of(TrainingRound round) {
        Map<String, Object> config = round.config();
        if (!config.containsKey(FedGft.FAIRNESS)
                || !round.measured().keySet().containsAll(FedGft.STATISTICS)) {
            return Optional.empty();
        }
        List<Double> global = FedGft.STATISTICS.stream().map(round.measured()::get).toList();
        if (!(global.get(1) > 0 && global.get(3) > 0)) {
            // One of the groups is empty.
            return Optional.empty();
        }
        double bias = global.get(0) / global.get(1) - global.get(2) / global.get(3);
        double gamma = ((Number) config.get(FedGft.GAMMA)).doubleValue();
        boolean square = config.get(FedGft.REGULARIZER).equals("l2");
        return Optional.of(
                new Fairness(
                        FedGft.Fairness.valueOf((String) config.get(FedGft.FAIRNESS)),
                        gamma * (square ? bias : Math.signum(bias)),
                        global));
    }

    /** Whether a class is the favourable outcome. */
    static boolean favourable(int label) {
        return label >= FAVOURABLE;
    }

    /** Whether an image is in the second group. */
    static boolean second(Digits digits, int image) {
        double ink = 0;
        for (int i = 0; i < Digits.PIXELS; i++) {
            ink += digits.pixels()[image * Digits.PIXELS + i];
        }
        return ink > MUCH * Digits.PIXELS;
    }

    /**
     * a, b, c and d of some data, by the names of their metrics.
     *
     * @param predicted how likely the favourable outcome is, for each image
     */
    static Map<String, Double> statistics(FedGft.Fairness kind, double[] predicted, Digits data) {
        double[] sums = new double[4];
        for (int i = 0; i < data.size(); i++) {
            int at = second(data, i) ? 2 : 0;
            double has = favourable(data.labels()[i]) ? 1 : 0;
            sums[at] += kind == FedGft.Fairness.SP ? predicted[i] : has * predicted[i];
            sums[at + 1] +=
                    switch (kind) {
                        case SP -> 1;
                        case EOP -> has;
                        case CAL -> predicted[i];
                    };
        }
        Map<String, Double> means = new TreeMap<>();
        for (int i = 0; i < sums.length; i++) {
            means.put(FedGft.STATISTICS.get(i), sums[i] / data.size());
        }
        return means;
    }

    /** What the gradient of an image's predicted outcome is multiplied by. */
    double weight(boolean second, boolean favourable) {
        double part = global.get(second ? 2 : 0);
        double whole = global.get(second ? 3 : 1);
        double its =
                switch (kind) {
                    case SP -> 1 / whole;
                    case EOP -> favourable ? 1 / whole : 0;
                    case CAL -> ((favourable ? 1 : 0) - part / whole) / whole;
                };
        return coefficient * (second ? -its : its);
    }
}
