// SPDX-License-Identifier: Apache-2.0

package io.tributary.protocol.message;

import com.fasterxml.jackson.annotation.JsonAlias;
import com.fasterxml.jackson.databind.annotation.JsonDeserialize;
import com.fasterxml.jackson.databind.annotation.JsonSerialize;
import io.tributary.protocol.WireMessage;

/**
 * A published global model.
 *
 * @param job the job
 * @param run the submission of the job that published it
 * @param round the round that produced it; 0 is the initial model
 * @param epoch that round's epoch
 * @param bytes length of the safetensors file
 * @param chunkBytes length of every chunk but the last
 * @param crc32c CRC32C of the file
 * @param lastUpdateToModelMs from the arrival of the last counted update at the coordinator to the
 *     complete file, in ms
 * @param rejected why the round's own model was rejected, and this is the former one once more;
 *     empty where it was not
 */
public record ModelDescription(
        String job,
        String run,
        int round,
        long epoch,
        long bytes,
        int chunkBytes,
        @JsonSerialize(using = HexCrc32c.Writer.class)
                @JsonDeserialize(using = HexCrc32c.Reader.class)
                int crc32c,
        double lastUpdateToModelMs,
        @JsonAlias("refused") String rejected)
        implements WireMessage {

    /** The same in shorter chunks, where those of now are longer than that. */
    public ModelDescription cut(int mostBytes) {
        return new ModelDescription(
                job,
                run,
                round,
                epoch,
                bytes,
                Math.min(chunkBytes, mostBytes),
                crc32c,
                lastUpdateToModelMs,
                rejected);
    }

    /** The version. */
    public RoundId id() {
        return new RoundId(round, epoch);
    }
}
