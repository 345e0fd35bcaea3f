// SPDX-License-Identifier: Apache-2.0

package io.tributary.protocol.message;

import com.fasterxml.jackson.annotation.JsonAlias;
import com.fasterxml.jackson.annotation.JsonCreator;
import com.fasterxml.jackson.annotation.JsonInclude;
import com.fasterxml.jackson.databind.JsonNode;
import io.tributary.protocol.Json;
import io.tributary.protocol.WireMessage;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/**
 * Which updates are in a model, written beside it.
 *
 * @param job the job
 * @param round the round
 * @param epoch the epoch that the updates were for
 * @param modelEpoch the epoch of the model
 * @param rejected why the mean of the updates was rejected, and the model is the former one once
 *     more; empty where the model is their mean
 * @param base the version of the model that the round began with; empty where an earlier version
 *     wrote it
 * @param trainers trainers that took part in the job when the round closed; 0 where an earlier
 *     version wrote it
 * @param metrics what trainers measured
 * @param groups the same of each group
 * @param updates the updates of the round, by trainer
 */
public record RoundLedger(
        String job,
        int round,
        long epoch,
        long modelEpoch,
        String rejected,
        String base,
        int trainers,
        @JsonInclude(JsonInclude.Include.NON_EMPTY) Map<String, MetricSummary> metrics,
        @JsonInclude(JsonInclude.Include.NON_EMPTY) Map<String, Map<String, MetricSummary>> groups,
        List<Entry> updates)
        implements WireMessage {

    /** What each version says. */
    private record Required(
            String job,
            int round,
            long epoch,
            long modelEpoch,
            @JsonAlias("refused") String rejected,
            List<Entry> updates) {}

    /** One of an earlier version says nothing of trainers but what they sent. */
    @JsonCreator(mode = JsonCreator.Mode.DELEGATING)
    static RoundLedger read(JsonNode json) {
        Required said = Json.convert(json, Required.class);
        Map<String, Map<String, MetricSummary>> groups = new TreeMap<>();
        json.path("groups")
                .properties()
                .forEach(group -> groups.put(group.getKey(), MetricSummary.of(group.getValue())));
        return new RoundLedger(
                said.job(),
                said.round(),
                said.epoch(),
                said.modelEpoch(),
                said.rejected(),
                json.path("base").asText(""),
                json.path("trainers").asInt(),
                MetricSummary.of(json.path("metrics")),
                groups,
                said.updates());
    }

    /** One that says nothing of trainers but what they sent. */
    public RoundLedger(
            String job,
            int round,
            long epoch,
            long modelEpoch,
            String rejected,
            List<Entry> updates) {
        this(job, round, epoch, modelEpoch, rejected, "", 0, Map.of(), Map.of(), updates);
    }

    public RoundLedger {
        metrics = Collections.unmodifiableMap(new TreeMap<>(metrics));
        groups = Collections.unmodifiableMap(new TreeMap<>(groups));
        updates = List.copyOf(updates);
    }

    /**
     * One update.
     *
     * @param trainer who sent it
     * @param samples its weight
     * @param crc32c CRC32C of its file, 8 hexadecimal digits
     */
    public record Entry(String trainer, long samples, String crc32c) {}

    /** The same for a round whose model was rejected. */
    public RoundLedger rejected(String why) {
        return new RoundLedger(
                job, round, epoch, modelEpoch, why, base, trainers, metrics, groups, updates);
    }

    /** The model's version. */
    public RoundId model() {
        return new RoundId(round, modelEpoch);
    }
}
