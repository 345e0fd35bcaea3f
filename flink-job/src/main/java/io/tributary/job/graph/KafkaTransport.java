// SPDX-License-Identifier: Apache-2.0

package io.tributary.job.graph;

import io.tributary.memory.region.RegionPool;
import io.tributary.node.PayloadStore;
import io.tributary.operators.coordinator.RoundRules;
import io.tributary.operators.model.ModelSpec;
import io.tributary.operators.model.PublishedModel;
import io.tributary.operators.types.StreamType;
import io.tributary.protocol.message.DeadLetter;
import io.tributary.protocol.message.Receipt;
import io.tributary.protocol.message.RoundPlan;
import io.tributary.protocol.message.RoundStatus;
import io.tributary.protocol.message.Run;
import io.tributary.protocol.message.TrainerEvent;
import io.tributary.sources.base.staging.Staging;
import io.tributary.sources.kafka.KafkaEventSource;
import io.tributary.sources.kafka.KafkaSinks;
import io.tributary.transport.kafka.KafkaOptions;
import io.tributary.transport.kafka.KafkaTopics;
import java.io.Serializable;
import java.util.List;
import java.util.Optional;
import java.util.function.Function;
import org.apache.flink.api.connector.sink2.Sink;
import org.apache.flink.api.connector.source.Source;
import org.apache.flink.connector.base.DeliveryGuarantee;
import org.apache.flink.connector.kafka.source.enumerator.initializer.OffsetsInitializer;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.datastream.DataStreamSink;

/**
 * Kafka. What waits for a checkpoint leaves in a transaction that commits with it; what does not,
 * at least once.
 *
 * @param kafka the brokers
 * @param staging where updates are staged
 * @param fromBeginning whether a job that is not restored reads updates that are there already
 */
public record KafkaTransport(KafkaOptions kafka, Staging staging, boolean fromBeginning)
        implements JobTransport {

    @Override
    public String scheme() {
        return KafkaOptions.SCHEME;
    }

    @Override
    public String uri() {
        return KafkaOptions.SCHEME + "://" + kafka.bootstrapServers();
    }

    @Override
    public PayloadStore.Place regions() {
        return staging.regions();
    }

    @Override
    public Source<TrainerEvent, ?, ?> updates(
            String job, Run run, ModelSpec model, RoundRules.Timing timing) {
        return KafkaEventSource.updates(
                job,
                run,
                kafka,
                model::layout,
                staging,
                fromBeginning ? OffsetsInitializer.earliest() : OffsetsInitializer.latest());
    }

    @Override
    public Optional<Source<TrainerEvent, ?, ?>> control(String job, Run run) {
        return Optional.of(KafkaEventSource.control(job, run, kafka));
    }

    @Override
    public RegionPool.Place partials(String job) {
        return staging.partials(job);
    }

    private static DeliveryGuarantee guarantee(Publish publish) {
        return publish == Publish.COMMITTED
                ? DeliveryGuarantee.EXACTLY_ONCE
                : DeliveryGuarantee.AT_LEAST_ONCE;
    }

    /** A sink of JSON to one topic. */
    private <T> Sink<T> json(
            KafkaTopics topics, String id, DeliveryGuarantee guarantee, String topic, Key<T> key) {
        return KafkaSinks.of(
                kafka,
                topics,
                id,
                guarantee,
                List.of(topic),
                value -> KafkaSinks.json(topic, key.apply(value), value));
    }

    @FunctionalInterface
    private interface Key<T> extends Function<T, String>, Serializable {}

    @Override
    public DataStreamSink<?> plans(String job, DataStream<RoundPlan> plans, Publish publish) {
        // Exactly once also where models leave at once: an end cannot be taken back.
        return plans.sinkTo(
                json(
                        new KafkaTopics(job),
                        job + "-plans",
                        DeliveryGuarantee.EXACTLY_ONCE,
                        new KafkaTopics(job).rounds(),
                        plan -> job));
    }

    @Override
    public DataStreamSink<?> models(
            AggregationGraph graph, DataStream<PublishedModel> models, Publish publish) {
        KafkaTopics topics = new KafkaTopics(graph.job());
        return models.transform(
                        graph.name("model chunks"),
                        StreamType.json(ModelPart.class),
                        new ModelParts(graph.run().id()))
                .uid(graph.uid("model-chunks"))
                .setParallelism(1)
                .setMaxParallelism(1)
                .sinkTo(
                        KafkaSinks.of(
                                kafka,
                                topics,
                                graph.job() + "-models",
                                guarantee(publish),
                                List.of(topics.model(), topics.status()),
                                ModelPart::record));
    }

    @Override
    public DataStreamSink<?> receipts(AggregationGraph graph, DataStream<Receipt> receipts) {
        String job = graph.job();
        receipts.filter(receipt -> !receipt.leavesWithCheckpoint())
                .uid(graph.uid("receipts-at-once"))
                .setParallelism(1)
                .setMaxParallelism(1)
                .sinkTo(receipts(job, "answers", DeliveryGuarantee.AT_LEAST_ONCE))
                .name(graph.name("sink: answers (kafka)"))
                .uid(graph.uid("sink-answers"))
                .setParallelism(1)
                .setMaxParallelism(1);
        return receipts.filter(receipt -> receipt.leavesWithCheckpoint())
                .uid(graph.uid("receipts-committed"))
                .setParallelism(1)
                .setMaxParallelism(1)
                .sinkTo(receipts(job, "receipts", DeliveryGuarantee.EXACTLY_ONCE));
    }

    private Sink<Receipt> receipts(String job, String what, DeliveryGuarantee guarantee) {
        KafkaTopics topics = new KafkaTopics(job);
        return json(topics, job + "-" + what, guarantee, topics.receipts(), Receipt::trainer);
    }

    @Override
    public DataStreamSink<?> status(String job, DataStream<RoundStatus> status) {
        return status.sinkTo(
                json(
                        new KafkaTopics(job),
                        job + "-status",
                        DeliveryGuarantee.AT_LEAST_ONCE,
                        new KafkaTopics(job).status(),
                        s -> "status"));
    }

    @Override
    public DataStreamSink<?> deadLetters(String job, DataStream<DeadLetter> letters) {
        return letters.sinkTo(
                json(
                        new KafkaTopics(job),
                        job + "-dead-letters",
                        DeliveryGuarantee.AT_LEAST_ONCE,
                        new KafkaTopics(job).deadLetters(),
                        DeadLetter::trainer));
    }

    @Override
    public AutoCloseable follow(String job, JobListener listener) {
        return KafkaFollower.start(kafka, new KafkaTopics(job), listener);
    }
}
