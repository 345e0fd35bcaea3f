// SPDX-License-Identifier: Apache-2.0

package io.tributary.job.graph;

import io.tributary.operators.coordinator.RoundRules;
import io.tributary.operators.model.ModelSpec;
import io.tributary.operators.model.PublishedModel;
import io.tributary.protocol.Json;
import io.tributary.protocol.RejectedException;
import io.tributary.protocol.message.Arrival;
import io.tributary.protocol.message.DeadLetter;
import io.tributary.protocol.message.ModelDescription;
import io.tributary.protocol.message.Receipt;
import io.tributary.protocol.message.RoundPlan;
import io.tributary.protocol.message.RoundStatus;
import io.tributary.protocol.message.Run;
import io.tributary.protocol.message.Topics;
import io.tributary.protocol.mqtt.BrokerOptions;
import io.tributary.protocol.mqtt.Delivery;
import io.tributary.protocol.mqtt.MqttLink;
import io.tributary.protocol.mqtt.Publication;
import io.tributary.shm.flow.Outlet;
import io.tributary.shm.node.RegionAccess;
import io.tributary.shm.region.RegionPool;
import io.tributary.sources.mqtt.sink.ModelMessages;
import io.tributary.sources.mqtt.sink.MqttEncoder;
import io.tributary.sources.mqtt.sink.MqttOutlet;
import io.tributary.sources.mqtt.source.MqttControlSource;
import io.tributary.sources.mqtt.source.MqttUpdateSource;
import io.tributary.sources.staging.Staging;
import java.util.List;
import java.util.Optional;
import java.util.UUID;
import org.apache.flink.api.connector.source.Source;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * MQTT, by one broker.
 *
 * @param broker the broker
 * @param staging where updates are staged
 */
public record MqttTransport(BrokerOptions broker, Staging staging) implements OutletTransport {

    private static final Logger LOG = LoggerFactory.getLogger(MqttTransport.class);

    @Override
    public String name() {
        return "mqtt";
    }

    @Override
    public RegionAccess.Place regions() {
        return staging.regions();
    }

    @Override
    public Source<Arrival, ?, ?> updates(
            String job, Run run, ModelSpec model, RoundRules.Timing timing) {
        return new MqttUpdateSource(job, run, broker, model::layout, staging);
    }

    @Override
    public Optional<Source<Arrival, ?, ?>> control(String job, Run run) {
        return Optional.of(new MqttControlSource(job, run, broker));
    }

    @Override
    public RegionPool.Place partials(String job) {
        return staging.partials(job);
    }

    private <T> Outlet.Factory<T> outlet(String job, String what, MqttEncoder<T> encoder) {
        return MqttOutlet.factory(job + "-" + what, broker, encoder);
    }

    @Override
    public Outlet.Factory<RoundPlan> plans(String job) {
        String topic = new Topics(job).round();
        return outlet(job, "plans", (plan, any) -> List.of(Publication.json(topic, plan, true)));
    }

    @Override
    public Outlet.Factory<PublishedModel> models(String job, Run run) {
        String id = run.id();
        return outlet(
                job,
                "models",
                (model, chunkBytes) ->
                        ModelMessages.of(model.in(id).description().cut(chunkBytes), model.path()));
    }

    @Override
    public Outlet.Factory<Receipt> receipts(String job) {
        Topics topics = new Topics(job);
        return outlet(
                job,
                "receipts",
                (receipt, any) ->
                        List.of(
                                Publication.json(
                                        topics.receipt(receipt.trainer()), receipt, false)));
    }

    @Override
    public Outlet.Factory<RoundStatus> status(String job) {
        String topic = new Topics(job).status();
        return outlet(
                job, "status", (status, any) -> List.of(Publication.json(topic, status, true)));
    }

    @Override
    public Outlet.Factory<DeadLetter> deadLetters(String job) {
        String topic = new Topics(job).deadLetter();
        return outlet(
                job,
                "dead-letters",
                (letter, any) -> List.of(Publication.json(topic, letter, false)));
    }

    @Override
    public AutoCloseable follow(String job, JobListener listener) {
        Topics topics = new Topics(job);
        MqttLink link =
                MqttLink.connect(
                        broker,
                        new MqttLink.Settings(
                                "tributary-follower-" + UUID.randomUUID(), 100, Optional.empty()),
                        message -> {
                            show(message, topics, listener);
                            message.done().run();
                        });
        link.subscribe(List.of(topics.status(), topics.model()));
        return link;
    }

    private static void show(Delivery message, Topics topics, JobListener listener) {
        try {
            if (message.topic().equals(topics.status())) {
                listener.status(Json.decode(message.payload(), RoundStatus.class));
            } else {
                listener.model(Json.decode(message.payload(), ModelDescription.class));
            }
        } catch (RejectedException e) {
            LOG.warn("ignored on {}: {}", message.topic(), e.getMessage());
        }
    }
}
