// SPDX-License-Identifier: Apache-2.0

package io.tributary.testbed.demo;

import com.fasterxml.jackson.annotation.JsonProperty;
import io.tributary.protocol.message.MetricSummary;
import java.util.List;
import java.util.Map;

/**
 * What a demo has seen, as {@code --report} writes it.
 *
 * @param config what it was asked for
 * @param rounds its rounds
 * @param last how it ended
 * @param wallSeconds from the first trainer to the last model, in s
 */
public record DemoReport(
        Map<String, Object> config,
        List<Round> rounds,
        @JsonProperty("final") Final last,
        double wallSeconds) {

    /**
     * One round.
     *
     * @param round its number
     * @param updates updates counted
     * @param groups the same for each group
     * @param rejected updates rejected
     * @param metrics what its trainers measured, all of each
     * @param testAccuracy of its model, 0 to 1
     * @param lastUpdateToModelMs from the last update at the coordinator to the complete model
     * @param modelSha256 of the model file
     */
    public record Round(
            int round,
            int updates,
            Map<String, Integer> groups,
            int rejected,
            Map<String, MetricSummary> metrics,
            double testAccuracy,
            double lastUpdateToModelMs,
            String modelSha256) {}

    /**
     * The end.
     *
     * @param testAccuracy of the last model, 0 to 1
     */
    public record Final(double testAccuracy) {}
}
