// SPDX-License-Identifier: Apache-2.0

package io.tributary.protocol.message;

import com.fasterxml.jackson.annotation.JsonCreator;
import com.fasterxml.jackson.databind.JsonNode;
import java.util.Map;

/**
 * A completely staged update: who sent what for which round, and where the payload lies.
 *
 * @param job the job
 * @param trainer who sent it
 * @param round the round
 * @param epoch its epoch
 * @param attempt the sending of it; 0 where it was not sent
 * @param samples the update's weight, the number of training samples, &gt; 0
 * @param kind weights or delta
 * @param crc32c CRC32C of the payload
 * @param scanned whether the job has read its values and found them finite; otherwise its writer
 *     promises that they are
 * @param payload the safetensors file
 * @param metrics what the trainer measured, for example {@code loss}
 * @param dropped how many metrics are not among them, because they cannot be kept
 */
public record Claim(
        String job,
        String trainer,
        int round,
        long epoch,
        long attempt,
        long samples,
        UpdateKind kind,
        int crc32c,
        boolean scanned,
        PayloadRef payload,
        Map<String, Double> metrics,
        int dropped) {

    /** One whose metrics are all kept. */
    public Claim(
            String job,
            String trainer,
            int round,
            long epoch,
            long attempt,
            long samples,
            UpdateKind kind,
            int crc32c,
            boolean scanned,
            PayloadRef payload,
            Map<String, Double> metrics) {
        this(
                job, trainer, round, epoch, attempt, samples, kind, crc32c, scanned, payload,
                metrics, 0);
    }

    /** One of an earlier version, which a checkpoint may hold, had always been read. */
    @JsonCreator(mode = JsonCreator.Mode.DELEGATING)
    static Claim read(JsonNode json) {
        return new Claim(
                json.required("job").asText(),
                json.required("trainer").asText(),
                json.required("round").asInt(),
                json.required("epoch").asLong(),
                json.required("attempt").asLong(),
                json.required("samples").asLong(),
                UpdateKind.valueOf(json.required("kind").asText()),
                json.required("crc32c").asInt(),
                json.path("scanned").asBoolean(true),
                PayloadRef.read(json.required("payload")),
                Metrics.of(json.required("metrics")),
                json.path("dropped").asInt());
    }

    public Claim {
        metrics = Metrics.kept(metrics);
    }

    /** The same for a payload that is called otherwise. */
    public Claim with(PayloadRef other) {
        return new Claim(
                job, trainer, round, epoch, attempt, samples, kind, crc32c, scanned, other, metrics,
                dropped);
    }

    /** The opening that it is for. */
    public RoundId id() {
        return new RoundId(round, epoch);
    }
}
