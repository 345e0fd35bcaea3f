// SPDX-License-Identifier: Apache-2.0

package io.tributary.job.graph;

import io.tributary.memory.region.RegionPool;
import io.tributary.node.PayloadStore;
import io.tributary.operators.coordinator.RoundRules;
import io.tributary.operators.model.ModelSpec;
import io.tributary.operators.model.PublishedModel;
import io.tributary.protocol.Json;
import io.tributary.protocol.RejectedException;
import io.tributary.protocol.message.DeadLetter;
import io.tributary.protocol.message.ModelDescription;
import io.tributary.protocol.message.Receipt;
import io.tributary.protocol.message.RoundPlan;
import io.tributary.protocol.message.RoundStatus;
import io.tributary.protocol.message.Run;
import io.tributary.protocol.message.Topics;
import io.tributary.protocol.message.TrainerEvent;
import io.tributary.sources.base.sink.Egress;
import io.tributary.sources.base.staging.Staging;
import io.tributary.sources.mqtt.sink.ModelMessages;
import io.tributary.sources.mqtt.sink.MqttEgress;
import io.tributary.sources.mqtt.sink.MqttEncoder;
import io.tributary.sources.mqtt.source.MqttControlSource;
import io.tributary.sources.mqtt.source.MqttUpdateSource;
import io.tributary.transport.mqtt.BrokerOptions;
import io.tributary.transport.mqtt.Delivery;
import io.tributary.transport.mqtt.MqttLink;
import io.tributary.transport.mqtt.Publication;
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
public record MqttTransport(BrokerOptions broker, Staging staging) implements EgressTransport {

    private static final Logger LOG = LoggerFactory.getLogger(MqttTransport.class);

    @Override
    public String scheme() {
        return "mqtt";
    }

    @Override
    public String uri() {
        return broker.url();
    }

    @Override
    public PayloadStore.Place regions() {
        return staging.regions();
    }

    @Override
    public Source<TrainerEvent, ?, ?> updates(
            String job, Run run, ModelSpec model, RoundRules.Timing timing) {
        return new MqttUpdateSource(job, run, broker, model::layout, staging);
    }

    @Override
    public Optional<Source<TrainerEvent, ?, ?>> control(String job, Run run) {
        return Optional.of(new MqttControlSource(job, run, broker));
    }

    @Override
    public RegionPool.Place partials(String job) {
        return staging.partials(job);
    }

    private <T> Egress.Factory<T> egress(String job, String what, MqttEncoder<T> encoder) {
        return MqttEgress.factory(job + "-" + what, broker, encoder);
    }

    @Override
    public Egress.Factory<RoundPlan> plans(String job) {
        String topic = new Topics(job).round();
        return egress(job, "plans", (plan, any) -> List.of(Publication.json(topic, plan, true)));
    }

    @Override
    public Egress.Factory<PublishedModel> models(String job, Run run) {
        String id = run.id();
        return egress(
                job,
                "models",
                (model, chunkBytes) ->
                        ModelMessages.of(
                                model.in(id).description().cut(chunkBytes),
                                model.file().toString()));
    }

    @Override
    public Egress.Factory<Receipt> receipts(String job) {
        Topics topics = new Topics(job);
        return egress(
                job,
                "receipts",
                (receipt, any) ->
                        List.of(
                                Publication.json(
                                        topics.receipt(receipt.trainer()), receipt, false)));
    }

    @Override
    public Egress.Factory<RoundStatus> status(String job) {
        String topic = new Topics(job).status();
        return egress(
                job, "status", (status, any) -> List.of(Publication.json(topic, status, true)));
    }

    @Override
    public Egress.Factory<DeadLetter> deadLetters(String job) {
        String topic = new Topics(job).deadLetter();
        return egress(
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
