// SPDX-License-Identifier: Apache-2.0

package io.tributary.protocol.chunk;

import io.tributary.protocol.Json;
import io.tributary.protocol.RejectReason;
import io.tributary.protocol.RejectedException;
import io.tributary.protocol.message.Names;
import io.tributary.protocol.message.RoundId;
import io.tributary.protocol.message.UpdateKind;
import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;

/**
 * What stands beside the bytes of an update's chunk, as MQTT 5 user properties or Kafka headers.
 *
 * @param job the job
 * @param trainer who sends
 * @param round the round
 * @param epoch its epoch
 * @param attempt counts a trainer's sendings of its updates, rising, ≥ 1; a resend is a new attempt
 * @param samples the number of training samples, unchecked here
 * @param kind weights or delta
 * @param metrics what the trainer measured
 * @param part which part of the payload this is
 */
public record ChunkHeader(
        String job,
        String trainer,
        int round,
        int epoch,
        long attempt,
        long samples,
        UpdateKind kind,
        Map<String, Double> metrics,
        ChunkPart part) {

    public ChunkHeader {
        Names.check("job", job);
        Names.check("trainer", trainer);
        metrics = Map.copyOf(metrics);
    }

    /** The opening that the update is for. */
    public RoundId id() {
        return new RoundId(round, epoch);
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
        Map<String, String> p = new LinkedHashMap<>();
        p.put("job", job);
        p.put("trainer", trainer);
        p.put("round", Integer.toString(round));
        p.put("epoch", Integer.toString(epoch));
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
        PropertyReader read = new PropertyReader(p);
        String kind = read.text("kind");
        UpdateKind parsed;
        try {
            parsed = UpdateKind.valueOf(kind);
        } catch (IllegalArgumentException e) {
            throw new RejectedException(
                    RejectReason.MALFORMED,
                    "property 'kind' is '%s', expected WEIGHTS or DELTA".formatted(kind));
        }
        return new ChunkHeader(
                read.text("job"),
                read.text("trainer"),
                read.positiveInt("round"),
                read.integer("epoch"),
                read.number("attempt"),
                read.number("samples"),
                parsed,
                metrics(Optional.ofNullable(p.get("metrics")).orElse("{}")),
                ChunkPart.from(p));
    }

    private static Map<String, Double> metrics(String json) {
        Map<String, Double> metrics = new LinkedHashMap<>();
        Json.tree(json.getBytes(StandardCharsets.UTF_8))
                .properties()
                .forEach(
                        field -> {
                            if (!field.getValue().isNumber()) {
                                throw new RejectedException(
                                        RejectReason.MALFORMED,
                                        "metric '%s' is %s, expected a number"
                                                .formatted(field.getKey(), field.getValue()));
                            }
                            metrics.put(field.getKey(), field.getValue().doubleValue());
                        });
        return metrics;
    }
}
