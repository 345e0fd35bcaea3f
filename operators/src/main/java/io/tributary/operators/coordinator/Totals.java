// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.coordinator;

import com.fasterxml.jackson.annotation.JsonAutoDetect;
import io.tributary.operators.rule.AggregationRule;
import io.tributary.protocol.message.Claim;
import java.util.Map;
import java.util.TreeMap;

/** Sums over the updates that count, by name, as the aggregation rule wants them. Mutable. */
@JsonAutoDetect(
        fieldVisibility = JsonAutoDetect.Visibility.ANY,
        getterVisibility = JsonAutoDetect.Visibility.NONE,
        isGetterVisibility = JsonAutoDetect.Visibility.NONE)
final class Totals {

    private final Map<String, Double> sums = new TreeMap<>();

    /** An update counts. */
    void add(AggregationRule rule, Claim claim) {
        if (rule instanceof AggregationRule.Streaming mean) {
            mean.totals(claim).forEach((name, value) -> sums.merge(name, value, Double::sum));
        }
    }

    /** The sums by name. */
    Map<String, Double> sums() {
        return Map.copyOf(sums);
    }
}
