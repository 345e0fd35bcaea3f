// SPDX-License-Identifier: Apache-2.0

package io.tributary.protocol.message;

import com.fasterxml.jackson.annotation.JsonCreator;
import com.fasterxml.jackson.annotation.JsonIgnore;
import com.fasterxml.jackson.annotation.JsonProperty;
import com.fasterxml.jackson.databind.JsonNode;
import io.tributary.protocol.Json;
import io.tributary.protocol.WireMessage;
import java.nio.charset.StandardCharsets;
import java.util.Map;

/**
 * What the header of an update's region says about it, so that any reader that finds the region can
 * claim it.
 *
 * @param job the job
 * @param trainer who made it
 * @param round the round
 * @param epoch its epoch
 * @param attempt the sending of it
 * @param samples its weight
 * @param kind weights or delta
 * @param metrics what the trainer measured
 * @param dropped how many metrics are not among them, because they cannot be kept; not written
 */
public record UpdateDescription(
        String job,
        String trainer,
        int round,
        long epoch,
        long attempt,
        long samples,
        UpdateKind kind,
        Map<String, Double> metrics,
        @JsonIgnore int dropped)
        implements WireMessage {

    /** One whose metrics are all kept. */
    public UpdateDescription(
            String job,
            String trainer,
            int round,
            long epoch,
            long attempt,
            long samples,
            UpdateKind kind,
            Map<String, Double> metrics) {
        this(job, trainer, round, epoch, attempt, samples, kind, metrics, 0);
    }

    public UpdateDescription {
        Names.check("job", job);
        Names.check("trainer", trainer);
        metrics = Metrics.kept(metrics);
    }

    @JsonCreator
    static UpdateDescription read(
            @JsonProperty("job") String job,
            @JsonProperty("trainer") String trainer,
            @JsonProperty("round") int round,
            @JsonProperty("epoch") long epoch,
            @JsonProperty("attempt") long attempt,
            @JsonProperty("samples") long samples,
            @JsonProperty("kind") UpdateKind kind,
            @JsonProperty("metrics") JsonNode metrics) {
        return new UpdateDescription(
                job,
                trainer,
                round,
                epoch,
                attempt,
                samples,
                kind,
                Metrics.of(metrics),
                Metrics.dropped(metrics));
    }

    /** Reads and checks a description. */
    public static UpdateDescription decode(String json) {
        return Json.decode(json.getBytes(StandardCharsets.UTF_8), UpdateDescription.class);
    }

    /**
     * As JSON.
     *
     * @param maxBytes if it would be longer, the metrics are left out
     */
    public String encode(int maxBytes) {
        byte[] json = Json.encode(this);
        if (json.length > maxBytes) {
            json =
                    Json.encode(
                            new UpdateDescription(
                                    job, trainer, round, epoch, attempt, samples, kind, Map.of()));
        }
        return new String(json, StandardCharsets.UTF_8);
    }

    /**
     * The claim for an update.
     *
     * @param scanned whether the job has looked at its values
     * @param payload where it lies
     */
    public Claim claim(int crc32c, boolean scanned, PayloadRef payload) {
        return new Claim(
                job, trainer, round, epoch, attempt, samples, kind, crc32c, scanned, payload,
                metrics, dropped);
    }
}
