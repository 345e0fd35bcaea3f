// SPDX-License-Identifier: Apache-2.0

package io.tributary.sources.kafka;

import io.tributary.node.PayloadStore;
import io.tributary.protocol.message.Run;
import io.tributary.protocol.message.TrainerEvent;
import io.tributary.sources.base.message.ControlDecoder;
import io.tributary.sources.base.message.MessageDecoder;
import io.tributary.sources.base.source.JobEndAwareReader;
import io.tributary.sources.base.source.LaneSource.LayoutSupplier;
import io.tributary.sources.base.staging.Staging;
import io.tributary.transport.kafka.KafkaOptions;
import io.tributary.transport.kafka.KafkaTopics;
import io.tributary.transport.kafka.TopicSetup;
import java.io.IOException;
import java.io.Serializable;
import java.io.UncheckedIOException;
import java.util.List;
import java.util.Optional;
import org.apache.flink.api.connector.source.Boundedness;
import org.apache.flink.api.connector.source.Source;
import org.apache.flink.api.connector.source.SourceReader;
import org.apache.flink.api.connector.source.SourceReaderContext;
import org.apache.flink.api.connector.source.SplitEnumerator;
import org.apache.flink.api.connector.source.SplitEnumeratorContext;
import org.apache.flink.connector.kafka.source.KafkaSource;
import org.apache.flink.connector.kafka.source.KafkaSourceOptions;
import org.apache.flink.connector.kafka.source.enumerator.KafkaSourceEnumState;
import org.apache.flink.connector.kafka.source.enumerator.initializer.OffsetsInitializer;
import org.apache.flink.connector.kafka.source.reader.deserializer.KafkaRecordDeserializationSchema;
import org.apache.flink.connector.kafka.source.split.KafkaPartitionSplit;
import org.apache.flink.core.io.SimpleVersionedSerializer;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/**
 * Events from a topic. Partitions, their discovery and what is remembered of them are those of
 * Flink's connector; the reader is our own, because an update is many records: its offset in a
 * checkpoint is that of the first record whose update is not whole, so what was half assembled is
 * read again.
 *
 * <p>Metrics of a reader, besides Flink's {@code numRecordsIn}, {@code numBytesIn} and {@code
 * numRecordsInErrors}: {@code pendingRecords}, and those of {@link Staging}.
 */
public final class KafkaEventSource
        implements Source<TrainerEvent, KafkaPartitionSplit, KafkaSourceEnumState> {

    private static final long serialVersionUID = 1L;
    private static final long DISCOVERY_MILLIS = 10_000;

    private final String topic;
    private final OffsetsInitializer start;
    private final KafkaOptions kafka;
    private final KafkaTopics topics;
    private final Run run;
    private final PayloadStore.Place regions;
    private final DecoderFactory decoders;

    @FunctionalInterface
    private interface DecoderFactory extends Serializable {
        MessageDecoder create(SourceReaderContext context);
    }

    private KafkaEventSource(
            KafkaOptions kafka,
            KafkaTopics topics,
            String topic,
            Run run,
            OffsetsInitializer start,
            PayloadStore.Place regions,
            DecoderFactory decoders) {
        this.regions = regions;
        this.kafka = kafka;
        this.topics = topics;
        this.run = run;
        this.decoders = decoders;
        this.topic = topic;
        this.start = start;
    }

    /**
     * Updates, staged into regions.
     *
     * @param job the job's name
     * @param run the submission of the job, which ends when its plan says so
     * @param model what updates must look like
     * @param start where a job that is not restored begins
     */
    public static KafkaEventSource updates(
            String job,
            Run run,
            KafkaOptions kafka,
            LayoutSupplier model,
            Staging staging,
            OffsetsInitializer start) {
        KafkaTopics topics = new KafkaTopics(job);
        return new KafkaEventSource(
                kafka,
                topics,
                topics.updates(),
                run,
                start,
                staging.regions(),
                context ->
                        staging.decoder(
                                KafkaOptions.SCHEME,
                                job,
                                run,
                                model.get(),
                                true,
                                context.metricGroup()));
    }

    /** What trainers say about themselves, from now on: they say it again until they are heard. */
    public static KafkaEventSource control(String job, Run run, KafkaOptions kafka) {
        KafkaTopics topics = new KafkaTopics(job);
        return new KafkaEventSource(
                kafka,
                topics,
                topics.control(),
                run,
                OffsetsInitializer.latest(),
                PayloadStore.Place.NONE,
                context -> new ControlDecoder(job, System::nanoTime));
    }

    /**
     * Flink's own source of the topic.
     *
     * @param client with the properties of Kafka's clients, which may be secrets, where it is used;
     *     without where it only knows formats, so that they are no part of the job's graph
     */
    private KafkaSource<byte[]> partitions(KafkaOptions client) {
        return KafkaSource.<byte[]>builder()
                .setProperties(client.consumer())
                .setProperty(
                        KafkaSourceOptions.PARTITION_DISCOVERY_INTERVAL_MS.key(),
                        Long.toString(DISCOVERY_MILLIS))
                .setClientIdPrefix("tributary-" + topic)
                .setTopics(topic)
                .setStartingOffsets(start)
                .setDeserializer(
                        KafkaRecordDeserializationSchema.valueOnly(ByteArrayDeserializer.class))
                .build();
    }

    private KafkaSource<byte[]> formats() {
        return partitions(KafkaOptions.of(kafka.bootstrapServers()));
    }

    @Override
    public Boundedness getBoundedness() {
        return Boundedness.CONTINUOUS_UNBOUNDED;
    }

    @Override
    public SourceReader<TrainerEvent, KafkaPartitionSplit> createReader(
            SourceReaderContext context) {
        // Topics that were deleted while the job was running are made anew at its restart.
        ensureTopics();
        return new KafkaEventReader(
                () ->
                        new KafkaEventSplitReader(
                                kafka,
                                new JobEndWatcher(kafka, topics, run),
                                decoders.create(context),
                                context.metricGroup()),
                Optional.of(JobEndAwareReader.locate(regions, context)),
                context);
    }

    private void ensureTopics() {
        try {
            Rejection.watch(() -> TopicSetup.ensure(kafka, topics));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    @Override
    public SplitEnumerator<KafkaPartitionSplit, KafkaSourceEnumState> createEnumerator(
            SplitEnumeratorContext<KafkaPartitionSplit> context) {
        return new Prepared(context, partitions(kafka).createEnumerator(context));
    }

    @Override
    public SplitEnumerator<KafkaPartitionSplit, KafkaSourceEnumState> restoreEnumerator(
            SplitEnumeratorContext<KafkaPartitionSplit> context, KafkaSourceEnumState state)
            throws IOException {
        return new Prepared(context, partitions(kafka).restoreEnumerator(context, state));
    }

    /**
     * Flink's enumerator, which begins when the topics are there. They are made on a thread that
     * nobody waits for: Flink starts a source's enumerator on the job master's own thread, and a
     * Kafka that does not answer would keep that from everything else.
     */
    private final class Prepared
            implements SplitEnumerator<KafkaPartitionSplit, KafkaSourceEnumState> {

        private final SplitEnumeratorContext<KafkaPartitionSplit> context;
        private final SplitEnumerator<KafkaPartitionSplit, KafkaSourceEnumState> partitions;

        private Prepared(
                SplitEnumeratorContext<KafkaPartitionSplit> context,
                SplitEnumerator<KafkaPartitionSplit, KafkaSourceEnumState> partitions) {
            this.context = context;
            this.partitions = partitions;
        }

        @Override
        public void start() {
            context.callAsync(
                    () -> {
                        ensureTopics();
                        return topics;
                    },
                    (made, failure) -> {
                        if (failure instanceof RuntimeException why) {
                            throw why;
                        } else if (failure != null) {
                            throw new IllegalStateException(failure);
                        }
                        partitions.start();
                    });
        }

        @Override
        public void handleSplitRequest(int subtask, String host) {
            partitions.handleSplitRequest(subtask, host);
        }

        @Override
        public void addSplitsBack(List<KafkaPartitionSplit> splits, int subtask) {
            partitions.addSplitsBack(splits, subtask);
        }

        @Override
        public void addReader(int subtask) {
            partitions.addReader(subtask);
        }

        @Override
        public KafkaSourceEnumState snapshotState(long checkpoint) throws Exception {
            return partitions.snapshotState(checkpoint);
        }

        @Override
        public void close() throws IOException {
            partitions.close();
        }
    }

    @Override
    public SimpleVersionedSerializer<KafkaPartitionSplit> getSplitSerializer() {
        return formats().getSplitSerializer();
    }

    @Override
    public SimpleVersionedSerializer<KafkaSourceEnumState> getEnumeratorCheckpointSerializer() {
        return formats().getEnumeratorCheckpointSerializer();
    }
}
