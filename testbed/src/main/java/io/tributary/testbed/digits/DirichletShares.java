// SPDX-License-Identifier: Apache-2.0

package io.tributary.testbed.digits;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;

/**
 * Shares the data out unevenly: for each class the trainers' proportions are drawn from a symmetric
 * Dirichlet distribution (Hsu et al., "Measuring the Effects of Non-Identical Data Distribution for
 * Federated Visual Classification", 2019, section 3). Small α: each trainer sees few classes; large
 * α: all see the same.
 */
public final class DirichletShares {

    private DirichletShares() {}

    /**
     * @param alpha concentration, &gt; 0
     * @return for each trainer the indices of its images, at least one
     */
    public static List<List<Integer>> of(int[] labels, int trainers, double alpha, long seed) {
        Random random = new Random(seed);
        List<List<Integer>> shares = new ArrayList<>();
        IntStream.range(0, trainers).forEach(t -> shares.add(new ArrayList<>()));
        for (int c = 0; c < Digits.CLASSES; c++) {
            int label = c;
            List<Integer> members =
                    new ArrayList<>(
                            IntStream.range(0, labels.length)
                                    .filter(i -> labels[i] == label)
                                    .boxed()
                                    .toList());
            Collections.shuffle(members, random);
            double[] gammas =
                    IntStream.range(0, trainers).mapToDouble(t -> gamma(alpha, random)).toArray();
            double sum =
                    Math.max(
                            Double.MIN_NORMAL,
                            IntStream.range(0, trainers).mapToDouble(t -> gammas[t]).sum());
            double upTo = 0;
            int from = 0;
            for (int t = 0; t < trainers; t++) {
                upTo += gammas[t] / sum;
                int to =
                        t == trainers - 1
                                ? members.size()
                                : (int) Math.min(members.size(), Math.round(upTo * members.size()));
                shares.get(t).addAll(members.subList(from, Math.max(from, to)));
                from = Math.max(from, to);
            }
        }
        for (List<Integer> share : shares) {
            if (share.isEmpty()) {
                share.add(random.nextInt(labels.length));
            }
            Collections.shuffle(share, random);
        }
        return shares;
    }

    /** Marsaglia and Tsang, "A Simple Method for Generating Gamma Variables", 2000. */
    private static double gamma(double alpha, Random random) {
        if (alpha < 1) {
            return gamma(alpha + 1, random) * Math.pow(random.nextDouble(), 1 / alpha);
        }
        double d = alpha - 1.0 / 3;
        double c = 1 / Math.sqrt(9 * d);
        while (true) {
            double x = random.nextGaussian();
            double v = Math.pow(1 + c * x, 3);
            if (v > 0
                    && Math.log(random.nextDouble()) < 0.5 * x * x + d - d * v + d * Math.log(v)) {
                return d * v;
            }
        }
    }
}
