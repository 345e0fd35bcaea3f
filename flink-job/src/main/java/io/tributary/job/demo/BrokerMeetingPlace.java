// SPDX-License-Identifier: Apache-2.0

package io.tributary.job.demo;

import io.tributary.job.graph.MqttTransport;
import io.tributary.job.graph.Transport;
import io.tributary.job.graph.WorkDirectory;
import io.tributary.protocol.Json;
import io.tributary.protocol.RejectedException;
import io.tributary.protocol.message.ModelDescription;
import io.tributary.protocol.message.RoundStatus;
import io.tributary.protocol.message.Topics;
import io.tributary.protocol.mqtt.BrokerOptions;
import io.tributary.protocol.mqtt.Delivery;
import io.tributary.protocol.mqtt.MqttLink;
import io.tributary.sources.mqtt.source.MqttUpdateSource;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.UUID;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** An embedded MQTT broker. */
final class BrokerMeetingPlace implements MeetingPlace {

    private static final Logger LOG = LoggerFactory.getLogger(BrokerMeetingPlace.class);

    /** Longer than trainers take to begin a resend, which goes on with what is staged. */
    private static final Duration STAGING_IDLE = Duration.ofMinutes(5);

    private final EmbeddedBroker broker = EmbeddedBroker.start();
    private final String regions;
    private final long quotaBytes;

    BrokerMeetingPlace(WorkDirectory work, long quotaBytes) {
        this.regions = work.directory("regions").toString();
        this.quotaBytes = quotaBytes;
    }

    private BrokerOptions address() {
        return BrokerOptions.of(broker.url());
    }

    @Override
    public Transport forJob() {
        return new MqttTransport(
                address(), new MqttUpdateSource.Staging(regions, quotaBytes, STAGING_IDLE));
    }

    @Override
    public io.tributary.trainer.Transport forTrainers() {
        return io.tributary.trainer.Transport.mqtt(address());
    }

    @Override
    public String description() {
        return "MQTT broker:  " + broker.url();
    }

    @Override
    public String trainerOptions() {
        return "--broker " + broker.url();
    }

    @Override
    public AutoCloseable follow(RoundBoard board) {
        Topics topics = new Topics(Demo.JOB);
        MqttLink link =
                MqttLink.connect(
                        address(),
                        new MqttLink.Settings(
                                "tributary-board-" + UUID.randomUUID(), 100, Optional.empty()),
                        message -> {
                            show(message, topics, board);
                            message.done().run();
                        });
        link.subscribe(List.of(topics.status(), topics.model()));
        return link;
    }

    private static void show(Delivery message, Topics topics, RoundBoard board) {
        try {
            if (message.topic().equals(topics.status())) {
                board.status(Json.decode(message.payload(), RoundStatus.class));
            } else {
                board.model(Json.decode(message.payload(), ModelDescription.class));
            }
        } catch (RejectedException e) {
            LOG.warn("ignored on {}: {}", message.topic(), e.getMessage());
        }
    }

    @Override
    public void close() {
        broker.close();
    }
}
