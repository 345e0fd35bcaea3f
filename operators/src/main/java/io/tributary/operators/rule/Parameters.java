// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.rule;

import java.util.Map;
import java.util.TreeMap;
import java.util.TreeSet;

/**
 * Numbers that an algorithm is given by name. The algorithm asks for each with its default and its
 * range; what nobody asks for is a mistake. Not thread-safe.
 */
public final class Parameters {

    private final Map<String, Double> given;
    private final Map<String, Double> defaults = new TreeMap<>();

    /**
     * @param given values by name
     */
    public Parameters(Map<String, Double> given) {
        this.given = Map.copyOf(given);
    }

    /**
     * A value.
     *
     * @param otherwise what it is where it is not given
     * @param low it is at least that
     * @param high it is less than that
     * @throws IllegalArgumentException when it is out of range
     */
    public double get(String name, double otherwise, double low, double high) {
        defaults.put(name, otherwise);
        double value = given.getOrDefault(name, otherwise);
        if (!(value >= low && value < high)) {
            throw new IllegalArgumentException(
                    "'%s' is %s, expected at least %s and less than %s"
                            .formatted(name, value, low, high));
        }
        return value;
    }

    /**
     * @throws IllegalArgumentException when something was given that nobody has asked for
     */
    public void requireKnown() {
        TreeSet<String> unknown = new TreeSet<>(given.keySet());
        unknown.removeAll(defaults.keySet());
        if (!unknown.isEmpty()) {
            throw new IllegalArgumentException(
                    "'%s' is unknown, expected one of %s"
                            .formatted(unknown.first(), defaults.keySet()));
        }
    }
}
