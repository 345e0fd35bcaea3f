// SPDX-License-Identifier: Apache-2.0

package io.tributary.sources.mqtt.source.reader;

import io.tributary.protocol.RejectedException;
import io.tributary.protocol.message.Arrival;
import io.tributary.protocol.mqtt.Delivery;
import io.tributary.shm.flow.LaneSplit;
import io.tributary.shm.region.JobDirectory;
import io.tributary.sources.staging.Chunk;
import io.tributary.sources.staging.ChunkAssembler;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Hands chunks to the assembler; the topic's last level is the sender. What was staged before a
 * restore is claimed again, since its claim may have been lost; the coordinator knows duplicates.
 */
public final class UpdateDecoder implements MessageDecoder {

    private static final Logger LOG = LoggerFactory.getLogger(UpdateDecoder.class);

    private final JobDirectory directory;
    private final ChunkAssembler assembler;
    private final List<Arrival> recovered = new ArrayList<>();

    public UpdateDecoder(JobDirectory directory, ChunkAssembler assembler) {
        this.directory = directory;
        this.assembler = assembler;
    }

    @Override
    public void begin(LaneSplit split) {
        if (split.fresh()) {
            directory.discard(split.lane());
            return;
        }
        for (Path file : directory.updates(split.lane())) {
            try {
                JobDirectory.claim(file).map(Arrival.Staged::new).ifPresent(recovered::add);
            } catch (RejectedException e) {
                LOG.warn("not recovered: {}", e.getMessage());
            }
        }
        // What was half staged, or is damaged, comes again.
        directory.discardUnfinished(split.lane());
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
        recovered.forEach(out);
        recovered.clear();
        assembler.tick(out);
    }

    @Override
    public void close() throws IOException {
        assembler.close();
    }
}
