// SPDX-License-Identifier: Apache-2.0

package io.tributary.protocol.message;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.Map;
import java.util.TreeMap;

/**
 * One metric over the updates that have it.
 *
 * @param count how many those are
 * @param mean their mean, weighted by samples
 * @param sum their sum, not weighted
 * @param min the least
 * @param max the largest
 */
public record MetricSummary(long count, double mean, double sum, double min, double max) {

    /** Of an object, by name; what is none is left out. */
    static Map<String, MetricSummary> of(JsonNode json) {
        Map<String, MetricSummary> all = new TreeMap<>();
        json.properties()
                .forEach(
                        field -> {
                            JsonNode its = field.getValue();
                            if (its.path("count").isIntegralNumber()) {
                                all.put(
                                        field.getKey(),
                                        new MetricSummary(
                                                its.path("count").longValue(),
                                                its.path("mean").doubleValue(),
                                                its.path("sum").doubleValue(),
                                                its.path("min").doubleValue(),
                                                its.path("max").doubleValue()));
                            }
                        });
        return all;
    }
}
