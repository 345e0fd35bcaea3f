// SPDX-License-Identifier: Apache-2.0

package io.tributary.trainer;

import io.tributary.protocol.chunk.ChunkHeader;
import io.tributary.protocol.chunk.ChunkPart;
import io.tributary.protocol.message.ControlMessage;
import io.tributary.protocol.message.ControlMessage.Type;
import io.tributary.protocol.message.Topics;
import io.tributary.protocol.mqtt.BrokerOptions;
import io.tributary.protocol.mqtt.BrokerUnavailableException;
import io.tributary.protocol.mqtt.MqttLink;
import io.tributary.protocol.mqtt.Publication;
import io.tributary.shm.region.MappedFile;
import io.tributary.shm.region.RegionDirectory;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Iterator;
import java.util.List;
import java.util.Optional;
import java.util.UUID;
import java.util.stream.IntStream;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** A trainer's link over MQTT: updates go in chunks, models come in chunks. */
final class MqttTrainerLink implements Link {

    private static final Logger LOG = LoggerFactory.getLogger(MqttTrainerLink.class);
    private static final int RECEIVE_MAXIMUM = 16;

    private final Identity self;
    private final Topics topics;
    private final MqttLink link;
    private final UpdateRegions regions;
    private long attempt;

    MqttTrainerLink(Identity self, BrokerOptions broker, Path directory, Inbox inbox) {
        this.self = self;
        this.topics = new Topics(self.job());
        RegionDirectory updates = new RegionDirectory(directory.resolve("updates"), Long.MAX_VALUE);
        this.regions = new UpdateRegions(() -> updates, UUID::toString, Duration.ZERO);
        this.link =
                MqttLink.connect(
                        broker,
                        new MqttLink.Settings(
                                "tributary-%s-%s-%s"
                                        .formatted(self.job(), self.trainer(), self.instance()),
                                RECEIVE_MAXIMUM,
                                Optional.of(control(Type.LEAVE))),
                        message -> {
                            inbox.accept(message, topics);
                            message.done().run();
                        });
        try {
            link.subscribe(
                    List.of(
                            topics.receipt(self.trainer()),
                            topics.round(),
                            topics.modelChunkFilter()));
        } catch (RuntimeException e) {
            link.close();
            throw e;
        }
    }

    @Override
    public void say(Type type) {
        try {
            link.publish(control(type));
        } catch (BrokerUnavailableException e) {
            if (type == Type.JOIN) {
                throw e;
            }
            LOG.warn("{}: {} could not be said: {}", self.trainer(), type, e.getMessage());
        }
    }

    private Publication control(Type type) {
        ControlMessage message =
                new ControlMessage(type, self.job(), self.trainer(), self.instance(), self.group());
        return Publication.json(topics.control(self.trainer()), message, false);
    }

    @Override
    public UpdateRegions regions() {
        return regions;
    }

    @Override
    public void publish(ModelUpdate update) {
        // Time, so that attempts rise from one process of this trainer to the next.
        attempt = Math.max(attempt + 1, System.currentTimeMillis());
        MappedFile file = update.memory();
        int crc32c = file.crc32c();
        int chunks = ChunkPart.count(file.length(), ChunkPart.MAX_CHUNK_BYTES);
        Iterator<Publication> all =
                IntStream.range(0, chunks)
                        .mapToObj(i -> chunk(update, file, crc32c, chunks, i))
                        .iterator();
        link.publish(() -> all);
    }

    private Publication chunk(
            ModelUpdate update, MappedFile file, int crc32c, int chunks, int chunk) {
        int chunkBytes = ChunkPart.MAX_CHUNK_BYTES;
        long offset = (long) chunk * chunkBytes;
        ByteBuffer bytes = file.slice(offset, (int) Math.min(chunkBytes, file.length() - offset));
        ChunkHeader header =
                new ChunkHeader(
                        self.job(),
                        self.trainer(),
                        update.id().round(),
                        update.id().epoch(),
                        attempt,
                        update.samples(),
                        update.kind(),
                        update.metrics(),
                        new ChunkPart(
                                chunk,
                                chunks,
                                chunkBytes,
                                file.length(),
                                crc32c,
                                ChunkPart.crc(bytes)));
        return Publication.bytes(
                topics.update(self.trainer()), bytes, header.toProperties(), false);
    }

    @Override
    public void answered(ModelUpdate update) {
        update.owned().free();
    }

    @Override
    public int connections() {
        return link.connections();
    }

    @Override
    public void abort() {
        link.abort();
        regions.close();
    }

    @Override
    public void close() {
        link.close();
        regions.close();
    }
}
