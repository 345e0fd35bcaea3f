// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.coordinator;

import com.fasterxml.jackson.annotation.JsonAutoDetect;
import io.tributary.protocol.message.Claim;
import io.tributary.protocol.message.Metrics;
import java.util.Map;
import java.util.TreeMap;

/**
 * Means of what trainers measured in a round, weighted by samples. It keeps as many metrics as one
 * trainer may send: the first that come. Mutable.
 */
@JsonAutoDetect(
        fieldVisibility = JsonAutoDetect.Visibility.ANY,
        getterVisibility = JsonAutoDetect.Visibility.NONE,
        isGetterVisibility = JsonAutoDetect.Visibility.NONE)
final class MeasuredMeans {

    /**
     * A sum of values times weights.
     *
     * @param sum of the products
     * @param weight the sum of the weights
     */
    record Sum(double sum, double weight) {

        Sum plus(double value, double itsWeight) {
            return new Sum(sum + value * itsWeight, weight + itsWeight);
        }
    }

    private final Map<String, Sum> sums = new TreeMap<>();

    /**
     * An update counts.
     *
     * @param wanted a metric that is kept however many there are; may be empty
     */
    void add(Claim claim, String wanted) {
        claim.metrics()
                .forEach((name, value) -> add(name, value, claim.samples(), name.equals(wanted)));
    }

    private void add(String name, double value, double weight, boolean wanted) {
        Sum before = sums.get(name);
        if (before != null || wanted || sums.size() < Metrics.MAX_COUNT) {
            sums.put(name, (before == null ? new Sum(0, 0) : before).plus(value, weight));
        }
    }

    /** An update does not count any more. */
    void remove(Claim claim) {
        claim.metrics()
                .forEach(
                        (name, value) ->
                                sums.computeIfPresent(
                                        name,
                                        (same, sum) -> {
                                            Sum rest = sum.plus(value, -claim.samples());
                                            return rest.weight() > 0 ? rest : null;
                                        }));
    }

    /** The means by name; one that overflows is left out. */
    Map<String, Double> means() {
        Map<String, Double> means = new TreeMap<>();
        sums.forEach(
                (name, sum) -> {
                    double mean = sum.sum() / sum.weight();
                    if (Double.isFinite(mean)) {
                        means.put(name, mean);
                    }
                });
        return means;
    }
}
