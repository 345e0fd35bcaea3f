// SPDX-License-Identifier: Apache-2.0

package io.tributary.protocol.message;

import com.fasterxml.jackson.annotation.JsonCreator;
import com.fasterxml.jackson.annotation.JsonInclude;
import com.fasterxml.jackson.annotation.JsonProperty;
import com.fasterxml.jackson.databind.JsonNode;
import io.tributary.protocol.Json;
import io.tributary.protocol.WireMessage;
import java.util.Map;
import java.util.TreeMap;

/**
 * How a round stands; sent at every change.
 *
 * @param job the job
 * @param round the round
 * @param epoch its epoch
 * @param state its state
 * @param updates updates counted
 * @param expected updates that the round waits for
 * @param groups the same two numbers for each trainer group
 * @param rejected updates rejected since the round was opened
 * @param duplicates duplicates seen since the round was opened
 * @param metrics what trainers measured, as means over the updates that count, weighted by samples
 * @param evaluation the newest word of the evaluator; null where there is none
 * @param summaries more of the same metrics than their means
 * @param note what is to be said: why the job ends before its last round, or what is missing; may
 *     be empty
 */
public record RoundStatus(
        String job,
        int round,
        long epoch,
        State state,
        int updates,
        int expected,
        Map<String, GroupStatus> groups,
        int rejected,
        int duplicates,
        Map<String, Double> metrics,
        @JsonProperty("evaluation") @JsonInclude(JsonInclude.Include.NON_NULL)
                Evaluation evaluation,
        @JsonInclude(JsonInclude.Include.NON_EMPTY) Map<String, MetricSummary> summaries,
        @JsonInclude(JsonInclude.Include.NON_EMPTY) String note)
        implements WireMessage {

    /** What each version says. */
    private record Required(
            String job,
            int round,
            long epoch,
            State state,
            int updates,
            int expected,
            JsonNode groups,
            int rejected,
            int duplicates) {}

    /** One of an earlier version, which a broker may keep, has no metrics. */
    @JsonCreator(mode = JsonCreator.Mode.DELEGATING)
    static RoundStatus read(JsonNode json) {
        Required said = Json.convert(json, Required.class);
        return new RoundStatus(
                said.job(),
                said.round(),
                said.epoch(),
                said.state(),
                said.updates(),
                said.expected(),
                groups(said.groups()),
                said.rejected(),
                said.duplicates(),
                Metrics.of(json.path("metrics")),
                Evaluation.in(json),
                MetricSummary.of(json.path("summaries")),
                json.path("note").asText(""));
    }

    private static Map<String, GroupStatus> groups(JsonNode json) {
        Map<String, GroupStatus> groups = new TreeMap<>();
        json.properties()
                .forEach(
                        field -> {
                            GroupStatus.Required said =
                                    Json.convert(field.getValue(), GroupStatus.Required.class);
                            groups.put(
                                    field.getKey(),
                                    new GroupStatus(
                                            said.updates(),
                                            said.expected(),
                                            MetricSummary.of(field.getValue().path("metrics"))));
                        });
        return groups;
    }

    /** The states of a round. */
    public enum State {
        /** Not enough trainers have joined to open it. */
        WAITING,
        /** Trainers are asked what the model is worth; {@code updates} counts their answers. */
        EVALUATING,
        OPEN,
        CLOSED,
        /** The deadline came without a quorum; the round will be opened again. */
        ABANDONED,
        /** No more rounds are opened; {@code expected} counts the trainers that have not left. */
        FINISHED
    }

    /**
     * One group's part.
     *
     * @param updates updates counted
     * @param expected updates that the round waits for
     * @param metrics what its trainers measured; empty where there are too many groups to be told
     */
    public record GroupStatus(
            int updates,
            int expected,
            @JsonInclude(JsonInclude.Include.NON_EMPTY) Map<String, MetricSummary> metrics) {

        /** What each version says. */
        private record Required(int updates, int expected) {}

        /** One whose trainers have measured nothing. */
        public GroupStatus(int updates, int expected) {
            this(updates, expected, Map.of());
        }
    }

    public RoundStatus {
        groups = Map.copyOf(groups);
        metrics = Map.copyOf(metrics);
        summaries = Map.copyOf(summaries);
    }
}
