// SPDX-License-Identifier: Apache-2.0

package io.tributary.protocol.message;

import com.fasterxml.jackson.annotation.JsonAlias;
import io.tributary.protocol.WireMessage;
import java.util.List;

/**
 * Which updates are in a model, written beside it.
 *
 * @param job the job
 * @param round the round
 * @param epoch the epoch that the updates were for
 * @param modelEpoch the epoch of the model
 * @param rejected why the mean of the updates was rejected, and the model is the former one once
 *     more; empty where the model is their mean
 * @param updates the updates of the round, by trainer
 */
public record RoundLedger(
        String job,
        int round,
        long epoch,
        long modelEpoch,
        @JsonAlias("refused") String rejected,
        List<Entry> updates)
        implements WireMessage {

    public RoundLedger {
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
        return new RoundLedger(job, round, epoch, modelEpoch, why, updates);
    }

    /** The model's version. */
    public RoundId model() {
        return new RoundId(round, modelEpoch);
    }
}
