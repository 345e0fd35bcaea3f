// SPDX-License-Identifier: Apache-2.0

package io.tributary.protocol.chunk;

import io.tributary.protocol.message.RoundId;
import java.util.Map;

/**
 * What stands beside the bytes of a model's chunk.
 *
 * @param job the job
 * @param run the submission of the job that published it
 * @param id the model's version
 * @param part which part of the file this is
 */
public record ModelChunkHeader(String job, String run, RoundId id, ChunkPart part) {

    /** As string properties, in a fixed order. */
    public Map<String, String> toProperties() {
        Map<String, String> p = PropertyReader.begin();
        p.put("job", job);
        p.put("run", run);
        p.put("round", Integer.toString(id.round()));
        p.put("epoch", Long.toString(id.epoch()));
        part.putInto(p);
        return p;
    }

    /**
     * Reads string properties.
     *
     * @throws io.tributary.protocol.RejectedException MALFORMED, naming the property
     */
    public static ModelChunkHeader fromProperties(Map<String, String> p) {
        PropertyReader read = PropertyReader.understood(p);
        return new ModelChunkHeader(
                read.text("job"),
                read.text("run"),
                new RoundId(read.integer("round"), read.epoch("epoch")),
                ChunkPart.from(p));
    }
}
