// SPDX-License-Identifier: Apache-2.0

package io.tributary.trainer;

import io.tributary.protocol.Json;
import io.tributary.protocol.RejectedException;
import io.tributary.protocol.chunk.ModelChunkHeader;
import io.tributary.protocol.message.ControlMessage;
import io.tributary.protocol.message.ControlMessage.Type;
import io.tributary.protocol.message.Evaluation;
import io.tributary.protocol.message.Receipt;
import io.tributary.protocol.message.RoundPlan;
import io.tributary.protocol.message.Topics;
import io.tributary.transport.mqtt.BrokerOptions;
import io.tributary.transport.mqtt.BrokerRejectedException;
import io.tributary.transport.mqtt.BrokerUnavailableException;
import io.tributary.transport.mqtt.Delivery;
import io.tributary.transport.mqtt.MqttLink;
import io.tributary.transport.mqtt.Publication;
import java.nio.file.Path;
import java.util.Iterator;
import java.util.List;
import java.util.Optional;
import java.util.stream.IntStream;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** A trainer's connection over MQTT: updates go in chunks, models come in chunks. */
final class MqttTrainerConnection implements TrainerConnection {

    private static final Logger LOG = LoggerFactory.getLogger(MqttTrainerConnection.class);
    private static final int RECEIVE_MAXIMUM = 16;

    private final Identity self;
    private final Topics topics;
    private final MqttLink link;
    private final UpdateRegions regions;
    private final UpdateChunks chunks;

    MqttTrainerConnection(Identity self, BrokerOptions broker, Path directory, Inbox inbox) {
        this.self = self;
        this.topics = new Topics(self.job());
        this.chunks = new UpdateChunks(self, inbox::token);
        this.regions = UpdateRegions.in(directory);
        this.link =
                MqttLink.connect(
                        broker,
                        new MqttLink.Settings(
                                "tributary-%s-%s-%s"
                                        .formatted(self.job(), self.trainer(), self.instance()),
                                RECEIVE_MAXIMUM,
                                Optional.of(control(Type.LEAVE))),
                        message -> {
                            accept(message, inbox);
                            message.done().run();
                        });
        try {
            link.subscribe(List.of(topics.receipt(self.trainer()), topics.round()));
        } catch (RuntimeException e) {
            link.close();
            throw e;
        }
    }

    private void accept(Delivery message, Inbox inbox) {
        try {
            if (message.topic().equals(topics.round())) {
                inbox.plan(Json.decode(message.payload(), RoundPlan.class));
            } else if (message.topic().startsWith(topics.model() + "/")) {
                inbox.chunk(
                        ModelChunkHeader.fromProperties(message.properties()), message.payload());
            } else {
                inbox.receipt(Json.decode(message.payload(), Receipt.class));
            }
        } catch (RejectedException e) {
            inbox.ignored("on " + message.topic(), e);
        }
    }

    @Override
    public void sendControl(Type type) {
        try {
            link.publish(control(type));
        } catch (BrokerUnavailableException e) {
            if (type == Type.JOIN || e instanceof BrokerRejectedException) {
                throw e;
            }
            LOG.warn("{}: {} could not be sent: {}", self.trainer(), type, e.getMessage());
        }
    }

    @Override
    public void evaluate(Evaluation said) {
        link.publish(publication(self.says(said)));
    }

    private Publication control(Type type) {
        return publication(self.says(type));
    }

    private Publication publication(ControlMessage message) {
        return Publication.json(topics.control(self.trainer()), message, false);
    }

    @Override
    public void poll() {
        link.check();
    }

    /** A subscription that is made again brings what the broker keeps. */
    @Override
    public void requestModel() {
        link.subscribe(List.of(topics.modelChunkFilter()));
    }

    @Override
    public UpdateRegions regions() {
        return regions;
    }

    @Override
    public void publish(ModelUpdate update) {
        UpdateChunks.Sending sending = chunks.begin(update, link.chunkBytes());
        Iterator<Publication> all =
                IntStream.range(0, sending.count())
                        .mapToObj(
                                chunk ->
                                        Publication.bytes(
                                                topics.update(self.trainer()),
                                                sending.bytes(chunk),
                                                sending.properties(chunk),
                                                false))
                        .iterator();
        link.publish(() -> all);
    }

    @Override
    public void acknowledge(ModelUpdate update) {
        update.owned().free();
    }

    @Override
    public int connections() {
        return link.connections();
    }

    @Override
    public boolean isDurable() {
        return false;
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
