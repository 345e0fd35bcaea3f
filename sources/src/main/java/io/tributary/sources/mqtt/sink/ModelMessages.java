// SPDX-License-Identifier: Apache-2.0

package io.tributary.sources.mqtt.sink;

import io.tributary.protocol.message.ModelDescription;
import io.tributary.protocol.message.Topics;
import io.tributary.sources.base.message.ModelChunk;
import io.tributary.transport.mqtt.Publication;
import java.nio.ByteBuffer;
import java.util.Iterator;
import java.util.stream.IntStream;

/** A model as messages: its chunks, each read from the file when it is sent, then what it is. */
public final class ModelMessages {

    private ModelMessages() {}

    /** The messages for the model file at {@code path}. */
    public static Iterable<Publication> of(ModelDescription model, String path) {
        Topics topics = new Topics(model.job());
        int chunks = ModelChunk.count(model);
        Iterator<Publication> messages =
                IntStream.rangeClosed(0, chunks)
                        .mapToObj(
                                i ->
                                        i < chunks
                                                ? chunk(model, path, i)
                                                : Publication.json(topics.model(), model, true))
                        .iterator();
        return () -> messages;
    }

    private static Publication chunk(ModelDescription model, String path, int chunk) {
        ModelChunk read = ModelChunk.read(model, path, chunk);
        return Publication.bytes(
                new Topics(model.job()).modelChunk(chunk),
                ByteBuffer.wrap(read.bytes()),
                read.header().toProperties(),
                true);
    }
}
