// SPDX-License-Identifier: Apache-2.0

package io.tributary.protocol.message;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.Map;
import java.util.TreeMap;

/**
 * What a trainer measured. Where something cannot be used it is left out, and the update counts all
 * the same, unless the job's algorithm computes with it.
 */
public final class Metrics {

    /** As many of a trainer are kept, and of a round. */
    public static final int MAX_COUNT = 32;

    private static final int MAX_NAME = 64;

    private Metrics() {}

    /**
     * Of these the first 32 by name that are finite and whose name has at most 64 characters, none
     * of them one that MQTT does not carry.
     */
    public static Map<String, Double> kept(Map<String, Double> metrics) {
        Map<String, Double> kept = new TreeMap<>();
        for (Map.Entry<String, Double> metric : new TreeMap<>(metrics).entrySet()) {
            if (kept.size() < MAX_COUNT
                    && metric.getKey().length() <= MAX_NAME
                    && metric.getKey().codePoints().allMatch(Metrics::carried)
                    && Double.isFinite(metric.getValue())) {
                kept.put(metric.getKey(), metric.getValue());
            }
        }
        return Map.copyOf(kept);
    }

    private static boolean carried(int character) {
        return Character.isDefined(character)
                && !Character.isISOControl(character)
                && Character.getType(character) != Character.SURROGATE;
    }

    /** How many of an object's fields are not kept. */
    public static int dropped(JsonNode json) {
        return json.size() - of(json).size();
    }

    /** Those fields of an object that are numbers. */
    public static Map<String, Double> of(JsonNode json) {
        Map<String, Double> metrics = new TreeMap<>();
        json.properties().stream()
                .filter(field -> field.getValue().isNumber())
                .forEach(field -> metrics.put(field.getKey(), field.getValue().doubleValue()));
        return kept(metrics);
    }
}
