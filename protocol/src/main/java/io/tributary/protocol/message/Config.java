// SPDX-License-Identifier: Apache-2.0

package io.tributary.protocol.message;

import com.fasterxml.jackson.databind.JsonNode;
import io.tributary.protocol.Json;
import io.tributary.protocol.ShortText;
import java.util.Collections;
import java.util.Map;
import java.util.TreeMap;
import java.util.regex.Pattern;

/** What a job's user wants trainers to know: numbers, texts and booleans by name. */
public final class Config {

    /** The most that a plan carries of it, in bytes of JSON. */
    public static final int MAX_BYTES = 4096;

    private static final int SHOWN = 60;

    /** Of those that a long can hold. */
    private static final Pattern INTEGER = Pattern.compile("-?(?:0|[1-9][0-9]{0,17})");

    private static final Pattern NUMBER =
            Pattern.compile("-?(?:0|[1-9][0-9]*)(?:\\.[0-9]+)?(?:[eE][+-]?[0-9]+)?");

    private Config() {}

    /**
     * Of texts: what looks like a number or a boolean is one.
     *
     * @throws IllegalArgumentException when it is more than a plan carries
     */
    public static Map<String, Object> ofTexts(Map<String, String> texts) {
        return ofTexts(texts, Map.of());
    }

    /**
     * The same, and what else trainers have to know.
     *
     * @param more numbers, texts and booleans, under other names
     * @throws IllegalArgumentException when a name is there twice, or it is more than a plan
     *     carries
     */
    public static Map<String, Object> ofTexts(Map<String, String> texts, Map<String, Object> more) {
        Map<String, Object> config = new TreeMap<>(more);
        for (String name : texts.keySet()) {
            if (more.containsKey(name)) {
                throw new IllegalArgumentException(
                        "'%s' is what the algorithm tells trainers; give it as a parameter of that"
                                .formatted(name));
            }
        }
        texts.forEach((name, text) -> config.put(name, value(text)));
        return checked(config);
    }

    private static Object value(String text) {
        if (text.equals("true") || text.equals("false")) {
            return Boolean.valueOf(text);
        }
        // Of JSON's grammar alone: a name such as 10f, or an id such as 007, stays what it is.
        if (INTEGER.matcher(text).matches()) {
            return Long.valueOf(text);
        }
        if (NUMBER.matcher(text).matches()) {
            double number = Double.parseDouble(text);
            return Double.isFinite(number) ? (Object) number : text;
        }
        return text;
    }

    /** Of an object; fields that are something else are left out. */
    static Map<String, Object> of(JsonNode json) {
        Map<String, Object> config = new TreeMap<>();
        json.properties()
                .forEach(
                        field -> {
                            JsonNode value = field.getValue();
                            if (value.isBoolean()) {
                                config.put(field.getKey(), value.booleanValue());
                            } else if (value.isIntegralNumber() && value.canConvertToLong()) {
                                config.put(field.getKey(), value.longValue());
                            } else if (value.isNumber()) {
                                config.put(field.getKey(), value.doubleValue());
                            } else if (value.isTextual()) {
                                config.put(field.getKey(), value.textValue());
                            }
                        });
        return checked(config);
    }

    /** The same, unmodifiable, in the order of names. */
    static Map<String, Object> checked(Map<String, Object> config) {
        int bytes = Json.encode(config).length;
        if (bytes > MAX_BYTES) {
            throw new IllegalArgumentException(
                    "%s has %d bytes as JSON, expected at most %d"
                            .formatted(ShortText.of(config.toString(), SHOWN), bytes, MAX_BYTES));
        }
        return Collections.unmodifiableMap(new TreeMap<>(config));
    }
}
