// SPDX-License-Identifier: Apache-2.0

package io.tributary.protocol.chunk;

import io.tributary.protocol.message.RoundId;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * What stands beside the bytes of a model's chunk.
 *
 * @param job the job
 * @param id the model's version
 * @param part which part of the file this is
 */
public record ModelChunkHeader(String job, RoundId id, ChunkPart part) {

    /** As string properties, in a fixed order. */
    public Map<String, String> toProperties() {
        Map<String, String> p = new LinkedHashMap<>();
        p.put("job", job);
        p.put("round", Integer.toString(id.round()));
        p.put("epoch", Integer.toString(id.epoch()));
        part.putInto(p);
        return p;
    }

    /**
     * Reads string properties.
     *
     * @throws io.tributary.protocol.RejectedException MALFORMED, naming the property
     */
    public static ModelChunkHeader fromProperties(Map<String, String> p) {
        PropertyReader read = new PropertyReader(p);
        return new ModelChunkHeader(
                read.text("job"),
                new RoundId(read.integer("round"), read.integer("epoch")),
                ChunkPart.from(p));
    }
}
