// SPDX-License-Identifier: Apache-2.0

package io.tributary.protocol.chunk;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.NullNode;
import io.tributary.protocol.Json;
import io.tributary.protocol.RejectReason;
import io.tributary.protocol.RejectedException;
import io.tributary.protocol.message.Metrics;
import io.tributary.protocol.message.Names;
import io.tributary.protocol.message.RoundId;
import io.tributary.protocol.message.UpdateKind;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.Optional;

/**
 * What stands beside the bytes of an update's chunk, as MQTT 5 user properties or Kafka headers.
 *
 * @param job the job
 * @param trainer who sends
 * @param round the round
 * @param epoch its epoch
 * @param instance the client object that joined
 * @param token what the job gave it when it joined
 * @param attempt names a sending of an update; a resend is a new attempt
 * @param samples the number of training samples, unchecked here
 * @param kind weights or delta
 * @param metrics what the trainer measured
 * @param dropped how many metrics are not among them, because they cannot be kept; not written
 * @param part which part of the payload this is
 */
public record ChunkHeader(
        String job,
        String trainer,
        int round,
        long epoch,
        String instance,
        String token,
        long attempt,
        long samples,
        UpdateKind kind,
        Map<String, Double> metrics,
        int dropped,
        ChunkPart part) {

    /** One whose metrics are all kept. */
    public ChunkHeader(
            String job,
            String trainer,
            int round,
            long epoch,
            String instance,
            String token,
            long attempt,
            long samples,
            UpdateKind kind,
            Map<String, Double> metrics,
            ChunkPart part) {
        this(job, trainer, round, epoch, instance, token, attempt, samples, kind, metrics, 0, part);
    }

    private static final int MAX_METRICS = 16 << 10;

    public ChunkHeader {
        Names.check("job", job);
        Names.check("trainer", trainer);
        Names.check("instance", instance);
        metrics = Metrics.kept(metrics);
    }

    /** The opening that the update is for. */
    public RoundId id() {
        return new RoundId(round, epoch);
    }

    /** The same without what is for people, to be remembered. */
    public ChunkHeader withoutMetrics() {
        return new ChunkHeader(
                job, trainer, round, epoch, instance, token, attempt, samples, kind, Map.of(),
                part);
    }

    /** Whether both headers are of the same update, though perhaps of different sendings. */
    public boolean sameUpdate(ChunkHeader other) {
        return round == other.round
                && epoch == other.epoch
                && samples == other.samples
                && kind == other.kind
                && part.samePayload(other.part);
    }

    /** As string properties, in a fixed order. */
    public Map<String, String> toProperties() {
        Map<String, String> p = PropertyReader.begin();
        p.put("job", job);
        p.put("trainer", trainer);
        p.put("round", Integer.toString(round));
        p.put("epoch", Long.toString(epoch));
        p.put("instance", instance);
        p.put("token", token);
        p.put("attempt", Long.toString(attempt));
        p.put("samples", Long.toString(samples));
        p.put("kind", kind.name());
        p.put("metrics", new String(Json.encode(metrics), StandardCharsets.UTF_8));
        part.putInto(p);
        return p;
    }

    /**
     * Reads string properties.
     *
     * @throws RejectedException MALFORMED, naming the property
     */
    public static ChunkHeader fromProperties(Map<String, String> p) {
        PropertyReader read = PropertyReader.understood(p);
        String kind = read.text("kind");
        UpdateKind parsed;
        try {
            parsed = UpdateKind.valueOf(kind);
        } catch (IllegalArgumentException e) {
            throw new RejectedException(
                    RejectReason.MALFORMED,
                    "property 'kind' is '%s', expected WEIGHTS or DELTA".formatted(kind));
        }
        JsonNode metrics = metrics(Optional.ofNullable(p.get("metrics")).orElse("{}"));
        return new ChunkHeader(
                read.text("job"),
                read.text("trainer"),
                read.positiveInt("round"),
                read.epoch("epoch"),
                read.text("instance"),
                read.text("token"),
                read.number("attempt"),
                read.number("samples"),
                parsed,
                Metrics.of(metrics),
                Metrics.dropped(metrics),
                ChunkPart.from(p));
    }

    private static JsonNode metrics(String json) {
        try {
            return json.length() > MAX_METRICS
                    ? NullNode.instance
                    : Json.tree(json.getBytes(StandardCharsets.UTF_8));
        } catch (RejectedException e) {
            // An update without them counts, unless the algorithm computes with one.
            return NullNode.instance;
        }
    }
}
