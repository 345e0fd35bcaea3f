// SPDX-License-Identifier: Apache-2.0

package io.tributary.protocol.message;

import io.tributary.protocol.Json;
import java.nio.charset.StandardCharsets;
import java.util.Map;

/**
 * What the header of an update's region says about it, so that a region can be claimed by whoever
 * finds it.
 *
 * @param job the job
 * @param trainer who made it
 * @param round the round
 * @param epoch its epoch
 * @param samples its weight
 * @param kind weights or delta
 * @param metrics what the trainer measured
 */
public record UpdateDescription(
        String job,
        String trainer,
        int round,
        int epoch,
        long samples,
        UpdateKind kind,
        Map<String, Double> metrics) {

    public UpdateDescription {
        Names.check("job", job);
        Names.check("trainer", trainer);
        metrics = Map.copyOf(metrics);
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
                                    job, trainer, round, epoch, samples, kind, Map.of()));
        }
        return new String(json, StandardCharsets.UTF_8);
    }

    /** The claim for an update that lies at {@code payload}. */
    public Claim claim(int crc32c, PayloadRef payload) {
        return new Claim(job, trainer, round, epoch, samples, kind, crc32c, payload, metrics);
    }
}
