// SPDX-License-Identifier: Apache-2.0

package io.tributary.bench;

import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;

/**
 * How a figure has changed from some runs to others: the quotient of the medians of their scores,
 * and where 95 % of such quotients lie when the runs are drawn anew (the percentile bootstrap of
 * Efron, Annals of Statistics 7, 1979).
 *
 * @param change new by old
 * @param low lower end of the interval
 * @param high upper end
 * @param verdict in words
 */
record Comparison(double change, double low, double high, String verdict) {

    /** With fewer runs the interval would say more than is known. */
    static final int LEAST_RUNS = 4;

    private static final int DRAWS = 10_000;
    private static final double OUTSIDE = 0.025;

    /** Compares runs of one figure. */
    static Comparison of(List<Figure> before, List<Figure> after) {
        double[] old = scores(before);
        double[] now = scores(after);
        double change = Samples.median(now) / Samples.median(old);
        SplittableRandom random = new SplittableRandom(1);
        double[] drawn = new double[DRAWS];
        for (int i = 0; i < DRAWS; i++) {
            drawn[i] = Samples.median(draw(now, random)) / Samples.median(draw(old, random));
        }
        Arrays.sort(drawn);
        double low = drawn[(int) (DRAWS * OUTSIDE)];
        double high = drawn[(int) (DRAWS * (1 - OUTSIDE)) - 1];
        return new Comparison(
                change,
                low,
                high,
                verdict(Math.min(old.length, now.length), low, high, after.get(0).lessIsBetter()));
    }

    private static String verdict(int runs, double low, double high, boolean lessIsBetter) {
        if (runs < LEAST_RUNS) {
            return "too few runs to tell: %d of each are needed".formatted(LEAST_RUNS);
        }
        if (low <= 1 && high >= 1) {
            return "no change beyond the noise";
        }
        return low > 1 == lessIsBetter ? "worse" : "better";
    }

    private static double[] scores(List<Figure> figures) {
        return figures.stream().mapToDouble(Figure::score).toArray();
    }

    private static double[] draw(double[] from, SplittableRandom random) {
        return random.ints(from.length, 0, from.length).mapToDouble(i -> from[i]).toArray();
    }
}
