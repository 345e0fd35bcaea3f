// SPDX-License-Identifier: Apache-2.0

package io.tributary.protocol.message;

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
 * @param payload the safetensors file
 * @param metrics what the trainer measured, for example {@code loss}
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
        PayloadRef payload,
        Map<String, Double> metrics) {

    public Claim {
        metrics = Metrics.kept(metrics);
    }

    /** The same for a payload that is called otherwise. */
    public Claim with(PayloadRef other) {
        return new Claim(
                job, trainer, round, epoch, attempt, samples, kind, crc32c, other, metrics);
    }

    /** The opening that it is for. */
    public RoundId id() {
        return new RoundId(round, epoch);
    }
}
