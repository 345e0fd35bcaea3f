// SPDX-License-Identifier: Apache-2.0

package io.tributary.sources.base.message;

import io.tributary.memory.region.MappedFile;
import io.tributary.protocol.chunk.ChunkPart;
import io.tributary.protocol.chunk.ModelChunkHeader;
import io.tributary.protocol.message.ModelDescription;
import io.tributary.protocol.message.PayloadRef;
import java.nio.ByteBuffer;

/**
 * A chunk of a model file.
 *
 * @param header what stands beside it
 * @param bytes its bytes
 */
public record ModelChunk(ModelChunkHeader header, byte[] bytes) {

    /** Number of chunks of a model. */
    public static int count(ModelDescription model) {
        return ChunkPart.count(model.bytes(), model.chunkBytes());
    }

    /** Reads a chunk of the model file at {@code path}. */
    public static ModelChunk read(ModelDescription model, String path, int chunk) {
        long offset = (long) chunk * model.chunkBytes();
        byte[] bytes = new byte[(int) Math.min(model.chunkBytes(), model.bytes() - offset)];
        try (MappedFile file = MappedFile.open(new PayloadRef(path, offset, bytes.length, 0))) {
            file.slice(0, bytes.length).get(bytes);
        }
        ChunkPart part =
                new ChunkPart(
                        chunk,
                        count(model),
                        model.chunkBytes(),
                        model.bytes(),
                        model.crc32c(),
                        ChunkPart.crc(ByteBuffer.wrap(bytes)));
        return new ModelChunk(
                new ModelChunkHeader(model.job(), model.run(), model.id(), part), bytes);
    }
}
