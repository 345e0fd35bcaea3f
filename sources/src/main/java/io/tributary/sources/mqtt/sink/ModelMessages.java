// SPDX-License-Identifier: Apache-2.0

package io.tributary.sources.mqtt.sink;

import io.tributary.protocol.chunk.ChunkPart;
import io.tributary.protocol.chunk.ModelChunkHeader;
import io.tributary.protocol.message.ModelDescription;
import io.tributary.protocol.message.PayloadRef;
import io.tributary.protocol.message.Topics;
import io.tributary.protocol.mqtt.Publication;
import io.tributary.shm.region.MappedFile;
import java.nio.ByteBuffer;
import java.util.Iterator;
import java.util.stream.IntStream;

/** A model as messages: its chunks, each read from the file when it is sent, then what it is. */
public final class ModelMessages {

    private ModelMessages() {}

    /** The messages for the model file at {@code path}. */
    public static Iterable<Publication> of(ModelDescription model, String path) {
        Topics topics = new Topics(model.job());
        int chunks = ChunkPart.count(model.bytes(), model.chunkBytes());
        Iterator<Publication> messages =
                IntStream.rangeClosed(0, chunks)
                        .mapToObj(
                                i ->
                                        i < chunks
                                                ? chunk(model, path, i, chunks)
                                                : Publication.json(topics.model(), model, true))
                        .iterator();
        return () -> messages;
    }

    private static Publication chunk(ModelDescription model, String path, int chunk, int chunks) {
        long offset = (long) chunk * model.chunkBytes();
        int length = (int) Math.min(model.chunkBytes(), model.bytes() - offset);
        try (MappedFile file = MappedFile.open(new PayloadRef(path, offset, length, 0))) {
            ByteBuffer bytes = file.slice(0, length);
            ChunkPart part =
                    new ChunkPart(
                            chunk,
                            chunks,
                            model.chunkBytes(),
                            model.bytes(),
                            model.crc32c(),
                            ChunkPart.crc(bytes));
            return Publication.bytes(
                    new Topics(model.job()).modelChunk(chunk),
                    bytes,
                    new ModelChunkHeader(model.job(), model.id(), part).toProperties(),
                    true);
        }
    }
}
