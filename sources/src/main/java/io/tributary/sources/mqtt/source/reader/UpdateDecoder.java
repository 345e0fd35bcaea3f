// SPDX-License-Identifier: Apache-2.0

package io.tributary.sources.mqtt.source.reader;

import io.tributary.protocol.message.Arrival;
import io.tributary.protocol.mqtt.Delivery;
import io.tributary.sources.staging.Chunk;
import io.tributary.sources.staging.ChunkAssembler;
import java.io.IOException;
import java.util.function.Consumer;

/** Hands chunks to the assembler; the topic's last level is the sender. */
public final class UpdateDecoder implements MessageDecoder {

    private final ChunkAssembler assembler;

    public UpdateDecoder(ChunkAssembler assembler) {
        this.assembler = assembler;
    }

    @Override
    public void accept(Delivery message, Consumer<Arrival> out) throws IOException {
        String sender = message.topic().substring(message.topic().lastIndexOf('/') + 1);
        assembler.accept(
                new Chunk(
                        message.topic(),
                        sender,
                        message.properties(),
                        message.payload(),
                        message.done()),
                out);
    }

    @Override
    public void tick(Consumer<Arrival> out) throws IOException {
        assembler.tick(out);
    }

    @Override
    public void close() throws IOException {
        assembler.close();
    }
}
