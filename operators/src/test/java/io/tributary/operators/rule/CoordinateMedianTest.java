// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.rule;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import net.jqwik.api.Example;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.DoubleRange;
import net.jqwik.api.constraints.Size;

class CoordinateMedianTest {

    private static double median(List<Double> values) {
        double[] result = new double[1];
        double[][] updates = values.stream().map(v -> new double[] {v}).toArray(double[][]::new);
        long[] samples = new long[updates.length];
        Arrays.fill(samples, 1);
        new CoordinateMedian().aggregate(updates, samples, result);
        return result[0];
    }

    @Property
    void halfOfTheUpdatesAreOnEachSideAndTheOrderIsOfNoMatter(
            @ForAll @Size(min = 1, max = 30)
                    List<@DoubleRange(min = -1e300, max = 1e300) Double> all) {
        double median = median(all);
        assertThat(all.stream().filter(v -> v < median).count() * 2)
                .isLessThanOrEqualTo(all.size());
        assertThat(all.stream().filter(v -> v > median).count() * 2)
                .isLessThanOrEqualTo(all.size());
        List<Double> turned = new java.util.ArrayList<>(all);
        Collections.reverse(turned);
        assertThat(median(turned)).isEqualTo(median);
    }

    /** As long as fewer than half lie, the result is between values of those who do not. */
    @Property
    void fewerThanHalfCannotMoveItBeyondTheOthers(
            @ForAll @Size(min = 3, max = 9) List<@DoubleRange(min = -1, max = 1) Double> honest,
            @ForAll @DoubleRange(min = -1e300, max = 1e300) double lie) {
        List<Double> all = new java.util.ArrayList<>(honest);
        all.addAll(Collections.nCopies(honest.size() - 1, lie));
        assertThat(median(all)).isBetween(-1.0, 1.0);
    }

    @Example
    void ofAnEvenNumberItIsTheMeanOfTheTwoInTheMiddle() {
        assertThat(median(List.of(4.0, 1.0, 100.0, 2.0))).isEqualTo(3);
        assertThat(median(List.of(Double.MAX_VALUE, Double.MAX_VALUE))).isEqualTo(Double.MAX_VALUE);
    }

    @Example
    void eachElementIsByItselfAndSamplesDoNotCount() {
        double[] result = new double[2];
        new CoordinateMedian()
                .aggregate(
                        new double[][] {{1, 30}, {2, 10}, {3, 20}},
                        new long[] {1_000_000, 1, 1},
                        result);
        assertThat(result).containsExactly(2, 20);
    }
}
