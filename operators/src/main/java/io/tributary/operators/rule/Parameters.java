// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.rule;

import java.util.Collection;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import java.util.TreeSet;

/**
 * Numbers and words that an algorithm is given by name. The algorithm asks for each with its
 * default and its range; what nobody asks for is a mistake. Not thread-safe.
 */
public final class Parameters {

    private final Map<String, String> given;
    private final TreeSet<String> known = new TreeSet<>();

    /**
     * @param given values by name, as they were written
     */
    public Parameters(Map<String, String> given) {
        this.given = new TreeMap<>(given);
    }

    /**
     * A finite value that is more than 0.
     *
     * @param otherwise what it is where it is not given
     * @throws ParameterException when it is out of range
     */
    public double positive(String name, double otherwise) {
        double value = number(name, otherwise);
        require(value > 0 && Double.isFinite(value), name, "more than 0");
        return value;
    }

    /**
     * A finite value that is not less than 0.
     *
     * @param otherwise what it is where it is not given
     * @throws ParameterException when it is out of range
     */
    public double notNegative(String name, double otherwise) {
        double value = number(name, otherwise);
        require(value >= 0 && Double.isFinite(value), name, "at least 0");
        return value;
    }

    /**
     * A value of at least 0 and less than 1.
     *
     * @param otherwise what it is where it is not given
     * @throws ParameterException when it is out of range
     */
    public double fraction(String name, double otherwise) {
        double value = number(name, otherwise);
        require(value >= 0 && value < 1, name, "at least 0 and less than 1");
        return value;
    }

    /**
     * A whole number of at least 1.
     *
     * @param otherwise what it is where it is not given
     * @throws ParameterException when it is none
     */
    public int count(String name, int otherwise) {
        double value = number(name, otherwise);
        require(value == (int) value && value >= 1, name, "a whole number from 1 on");
        return (int) value;
    }

    /**
     * One of several words.
     *
     * @param otherwise what it is where it is not given
     * @param choices what it may be
     * @throws ParameterException when it is none of them
     */
    public <T extends Enum<T>> T choice(String name, T otherwise, List<T> choices) {
        known.add(name);
        String given = this.given.getOrDefault(name, word(otherwise));
        return choices.stream()
                .filter(each -> word(each).equals(given.toLowerCase(Locale.ROOT)))
                .findFirst()
                .orElseThrow(
                        () ->
                                wrong(
                                        name,
                                        oneOf(
                                                given,
                                                choices.stream().map(Parameters::word).toList())));
    }

    private static String word(Enum<?> each) {
        return each.name().toLowerCase(Locale.ROOT);
    }

    private double number(String name, double otherwise) {
        known.add(name);
        String text = given.get(name);
        if (text == null) {
            return otherwise;
        }
        try {
            return Double.parseDouble(text);
        } catch (NumberFormatException e) {
            throw wrong(name, "a number");
        }
    }

    private void require(boolean ok, String name, String expected) {
        if (!ok) {
            throw wrong(name, expected);
        }
    }

    private ParameterException wrong(String name, String expected) {
        return wrong(name, given.get(name), expected);
    }

    /** A value, given or a default, does not go with another. */
    public ParameterException wrong(String name, Object value, String expected) {
        return new ParameterException(
                name, "'%s' is %s, expected %s".formatted(name, value, expected));
    }

    /**
     * @throws ParameterException when something was given that nobody has asked for
     */
    public void requireKnown() {
        for (String name : given.keySet()) {
            if (!known.contains(name)) {
                throw new ParameterException(
                        name,
                        "'%s' is unknown, expected %s"
                                .formatted(
                                        name,
                                        known.isEmpty() ? "no parameters" : oneOf(name, known)));
            }
        }
    }

    /** All words that there are, and the one that was probably meant. */
    public static String oneOf(String wrong, Collection<String> words) {
        return "one of " + words + Suggestion.of(wrong, words).orElse("");
    }
}
