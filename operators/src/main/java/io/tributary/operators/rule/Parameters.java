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
     * A finite value that is more than 0.
     *
     * @param otherwise what it is where it is not given
     * @throws IllegalArgumentException when it is out of range
     */
    public double positive(String name, double otherwise) {
        double value = value(name, otherwise);
        require(value > 0 && Double.isFinite(value), name, value, "more than 0");
        return value;
    }

    /**
     * A value of at least 0 and less than 1.
     *
     * @param otherwise what it is where it is not given
     * @throws IllegalArgumentException when it is out of range
     */
    public double fraction(String name, double otherwise) {
        double value = value(name, otherwise);
        require(value >= 0 && value < 1, name, value, "at least 0 and less than 1");
        return value;
    }

    private double value(String name, double otherwise) {
        defaults.put(name, otherwise);
        return given.getOrDefault(name, otherwise);
    }

    private static void require(boolean ok, String name, double value, String expected) {
        if (!ok) {
            throw new IllegalArgumentException(
                    "'%s' is %s, expected %s".formatted(name, value, expected));
        }
    }

    /**
     * @throws IllegalArgumentException when something was given that nobody has asked for
     */
    public void requireKnown() {
        TreeSet<String> unknown = new TreeSet<>(given.keySet());
        unknown.removeAll(defaults.keySet());
        if (!unknown.isEmpty()) {
            throw new IllegalArgumentException(
                    "'%s' is unknown, expected %s"
                            .formatted(
                                    unknown.first(),
                                    defaults.isEmpty()
                                            ? "no parameters"
                                            : "one of " + defaults.keySet()));
        }
    }
}
