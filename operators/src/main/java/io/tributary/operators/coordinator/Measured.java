// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.coordinator;

import com.fasterxml.jackson.annotation.JsonAutoDetect;
import com.fasterxml.jackson.annotation.JsonCreator;
import com.fasterxml.jackson.databind.JsonNode;
import io.tributary.operators.coordinator.TrainerEntry.Counted;
import io.tributary.protocol.message.Claim;
import io.tributary.protocol.message.MetricSummary;
import io.tributary.protocol.message.Metrics;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;

/**
 * What trainers measured in a round, of all and of each group. It keeps as many metrics as one
 * trainer may send: those that something is decided by, and the first that come. Mutable.
 */
@JsonAutoDetect(
        fieldVisibility = JsonAutoDetect.Visibility.ANY,
        getterVisibility = JsonAutoDetect.Visibility.NONE,
        isGetterVisibility = JsonAutoDetect.Visibility.NONE)
final class Measured {

    /**
     * Values of one metric. An earlier version had the first two alone.
     *
     * @param sum of values times weights
     * @param weight the sum of the weights
     * @param count how many values
     * @param total their sum
     * @param min the least
     * @param max the largest
     */
    record Sum(double sum, double weight, long count, double total, double min, double max) {

        private static final Sum NOTHING = new Sum(0, 0, 0, 0, 0, 0);

        @JsonCreator(mode = JsonCreator.Mode.DELEGATING)
        static Sum read(JsonNode json) {
            return new Sum(
                    json.path("sum").asDouble(),
                    json.path("weight").asDouble(),
                    json.path("count").asLong(),
                    json.path("total").asDouble(),
                    json.path("min").asDouble(),
                    json.path("max").asDouble());
        }

        Sum plus(double value, double itsWeight) {
            return new Sum(
                    sum + value * itsWeight,
                    weight + itsWeight,
                    count + 1,
                    total + value,
                    count == 0 ? value : Math.min(min, value),
                    count == 0 ? value : Math.max(max, value));
        }

        MetricSummary summary() {
            return new MetricSummary(count, sum / weight, total, min, max);
        }
    }

    private final Map<String, Sum> sums = new TreeMap<>();
    private final Map<String, Map<String, Sum>> groups = new TreeMap<>();

    /**
     * Of the updates that count, where they are all at hand.
     *
     * @param wanted metrics that are kept however many there are
     */
    static Measured of(Trainers trainers, Set<String> wanted) {
        Measured measured = new Measured();
        for (int place = 0; place < trainers.places(); place++) {
            trainers.update(place)
                    .flatMap(Counted::claim)
                    .ifPresent(
                            claim ->
                                    measured.add(
                                            claim,
                                            trainers.get(claim.trainer()).orElseThrow().group(),
                                            wanted));
        }
        return measured;
    }

    /**
     * An update counts.
     *
     * @param group of its trainer
     * @param wanted metrics that are kept however many there are
     */
    void add(Claim claim, String group, Set<String> wanted) {
        add(claim.metrics(), claim.samples(), group, wanted);
    }

    /** The same of metrics, with the number of samples as their weight. */
    void add(Map<String, Double> metrics, long samples, String group, Set<String> wanted) {
        metrics.forEach(
                (name, value) -> {
                    boolean kept =
                            sums.containsKey(name)
                                    || wanted.contains(name)
                                    || sums.size() + missing(wanted) < Metrics.MAX_COUNT;
                    if (kept) {
                        add(sums, name, value, samples);
                        add(
                                groups.computeIfAbsent(group, none -> new TreeMap<>()),
                                name,
                                value,
                                samples);
                    }
                });
    }

    /** How many places are to be left. */
    private long missing(Set<String> wanted) {
        return wanted.stream().filter(name -> !sums.containsKey(name)).count();
    }

    private static void add(Map<String, Sum> to, String name, double value, double weight) {
        to.put(name, to.getOrDefault(name, Sum.NOTHING).plus(value, weight));
    }

    /** The means by name; one that overflows is left out. */
    Map<String, Double> means() {
        Map<String, Double> means = new TreeMap<>();
        summaries().forEach((name, summary) -> means.put(name, summary.mean()));
        return means;
    }

    /** All of each metric by name; one that overflows is left out. */
    Map<String, MetricSummary> summaries() {
        return summaries(sums);
    }

    /** How many numbers {@link #groups} has. */
    int size() {
        return groups.values().stream().mapToInt(Map::size).sum();
    }

    /** The same of a group. */
    Map<String, MetricSummary> summaries(String group) {
        return summaries(groups.getOrDefault(group, Map.of()));
    }

    private static Map<String, MetricSummary> summaries(Map<String, Sum> sums) {
        Map<String, MetricSummary> summaries = new TreeMap<>();
        sums.forEach(
                (name, sum) -> {
                    MetricSummary summary = sum.summary();
                    if (Double.isFinite(summary.mean()) && Double.isFinite(summary.sum())) {
                        summaries.put(name, summary);
                    }
                });
        return summaries;
    }

    /** The groups that have measured something. */
    Map<String, Map<String, MetricSummary>> groups() {
        Map<String, Map<String, MetricSummary>> all = new TreeMap<>();
        groups.keySet().forEach(group -> all.put(group, summaries(group)));
        return all;
    }
}
