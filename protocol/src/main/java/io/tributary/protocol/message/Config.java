// SPDX-License-Identifier: Apache-2.0

package io.tributary.protocol.message;

import com.fasterxml.jackson.databind.JsonNode;
import io.tributary.protocol.Json;
import io.tributary.protocol.ShortText;
import java.util.Collections;
import java.util.Map;
import java.util.TreeMap;

/** What a job's user wants trainers to know: numbers, texts and booleans by name. */
public final class Config {

    /** The most that a plan carries of it, in bytes of JSON. */
    public static final int MAX_BYTES = 4096;

    private static final int SHOWN = 60;

    private Config() {}

    /**
     * Of texts: what looks like a number or a boolean is one.
     *
     * @throws IllegalArgumentException when it is more than a plan carries
     */
    public static Map<String, Object> ofTexts(Map<String, String> texts) {
        Map<String, Object> config = new TreeMap<>();
        texts.forEach((name, text) -> config.put(name, value(text)));
        return checked(config);
    }

    private static Object value(String text) {
        if (text.equals("true") || text.equals("false")) {
            return Boolean.valueOf(text);
        }
        try {
            return Long.valueOf(text);
        } catch (NumberFormatException e) {
            // Perhaps a fraction.
        }
        try {
            double number = Double.parseDouble(text);
            return Double.isFinite(number) ? (Object) number : text;
        } catch (NumberFormatException e) {
            return text;
        }
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
