// SPDX-License-Identifier: Apache-2.0

package io.tributary.sources.kafka;

import io.tributary.protocol.message.TrainerEvent;
import io.tributary.sources.base.message.Message;
import io.tributary.sources.base.message.MessageDecoder;
import io.tributary.sources.kafka.KafkaEventReader.Step;
import io.tributary.transport.kafka.KafkaHeaders;
import io.tributary.transport.kafka.KafkaOptions;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.apache.flink.connector.base.source.reader.RecordsBySplits;
import org.apache.flink.connector.base.source.reader.RecordsWithSplitIds;
import org.apache.flink.connector.base.source.reader.splitreader.SplitReader;
import org.apache.flink.connector.base.source.reader.splitreader.SplitsAddition;
import org.apache.flink.connector.base.source.reader.splitreader.SplitsChange;
import org.apache.flink.connector.kafka.source.metrics.KafkaSourceReaderMetrics;
import org.apache.flink.connector.kafka.source.split.KafkaPartitionSplit;
import org.apache.flink.metrics.Counter;
import org.apache.flink.metrics.groups.SourceReaderMetricGroup;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.WakeupException;
import org.apache.kafka.common.requests.ListOffsetsRequest;

/** Reads all partitions of a reader with one consumer, on Flink's fetcher thread. */
final class KafkaEventSplitReader implements SplitReader<Step, KafkaPartitionSplit> {

    /** What Flink's enumerator writes for the end of a partition; Kafka's own code for it. */
    private static final long LATEST = ListOffsetsRequest.LATEST_TIMESTAMP;

    private static final Duration POLL = Duration.ofMillis(50);

    private final KafkaConsumer<byte[], byte[]> consumer;
    private final JobEndWatcher plans;
    private final MessageDecoder decoder;
    private final KafkaSourceReaderMetrics kafkaMetrics;
    private final Counter bytesIn;
    private final Counter errorsIn;
    private final Map<TopicPartition, Partition> partitions = new HashMap<>();

    /** How far a partition has been read. */
    private static final class Partition {
        private final String splitId;
        private final int lane;
        private long next;
        private long said;

        Partition(KafkaPartitionSplit split) {
            splitId = split.splitId();
            lane = split.getPartition();
            next = split.getStartingOffset();
            said = next;
        }
    }

    KafkaEventSplitReader(
            KafkaOptions kafka,
            JobEndWatcher plans,
            MessageDecoder decoder,
            SourceReaderMetricGroup metrics) {
        this.consumer = new KafkaConsumer<>(kafka.consumer());
        this.plans = plans;
        this.decoder = decoder;
        this.kafkaMetrics = new KafkaSourceReaderMetrics(metrics);
        this.bytesIn = metrics.getIOMetricGroup().getNumBytesInCounter();
        this.errorsIn = metrics.getNumRecordsInErrorsCounter();
    }

    @Override
    public void handleSplitsChanges(SplitsChange<KafkaPartitionSplit> change) {
        if (!(change instanceof SplitsAddition)) {
            throw new UnsupportedOperationException("partitions are only added, got " + change);
        }
        for (KafkaPartitionSplit split : change.splits()) {
            partitions.put(split.getTopicPartition(), new Partition(split));
        }
        consumer.assign(partitions.keySet());
        for (KafkaPartitionSplit split : change.splits()) {
            TopicPartition partition = split.getTopicPartition();
            decoder.begin(split.getPartition(), split.getStartingOffset() < 0);
            seek(partition, split.getStartingOffset());
            kafkaMetrics.registerTopicPartition(partition);
            kafkaMetrics.maybeAddRecordsLagMetric(consumer, partition);
        }
    }

    private void seek(TopicPartition partition, long offset) {
        if (offset == LATEST) {
            consumer.seekToEnd(List.of(partition));
        } else if (offset < 0) {
            consumer.seekToBeginning(List.of(partition));
        } else {
            consumer.seek(partition, offset);
        }
        // Now, because what is sent from now on is wanted.
        partitions.get(partition).next = consumer.position(partition);
    }

    @Override
    public RecordsWithSplitIds<Step> fetch() throws IOException {
        return Rejection.watch(this::steps);
    }

    private RecordsWithSplitIds<Step> steps() throws IOException {
        RecordsBySplits.Builder<Step> steps = new RecordsBySplits.Builder<>();
        for (ConsumerRecord<byte[], byte[]> record : poll()) {
            Partition partition =
                    partitions.get(new TopicPartition(record.topic(), record.partition()));
            partition.next = record.offset() + 1;
            decoder.accept(message(record), event -> add(steps, partition, event));
        }
        decoder.tick((lane, event) -> add(steps, partition(lane), event));
        for (Partition partition : partitions.values()) {
            if (neededFrom(partition) != partition.said) {
                step(steps, partition, Optional.empty());
            }
        }
        if (plans.ended()) {
            partitions.values().forEach(partition -> steps.addFinishedSplit(partition.splitId));
        }
        return steps.build();
    }

    private Partition partition(int lane) {
        return partitions.values().stream().filter(p -> p.lane == lane).findFirst().orElseThrow();
    }

    private ConsumerRecords<byte[], byte[]> poll() {
        try {
            return consumer.poll(POLL);
        } catch (WakeupException e) {
            return ConsumerRecords.empty();
        }
    }

    private Message message(ConsumerRecord<byte[], byte[]> record) {
        byte[] payload = record.value() == null ? new byte[0] : record.value();
        bytesIn.inc(payload.length);
        return new Message(
                "%s/%d@%d".formatted(record.topic(), record.partition(), record.offset()),
                record.partition(),
                record.offset(),
                record.key() == null ? "" : new String(record.key(), StandardCharsets.UTF_8),
                KafkaHeaders.toMap(record.headers()),
                payload,
                () -> {});
    }

    private void add(RecordsBySplits.Builder<Step> steps, Partition partition, TrainerEvent event) {
        if (event instanceof TrainerEvent.InputRejected) {
            errorsIn.inc();
        }
        step(steps, partition, Optional.of(event));
    }

    private void step(
            RecordsBySplits.Builder<Step> steps,
            Partition partition,
            Optional<TrainerEvent> event) {
        partition.said = neededFrom(partition);
        steps.add(partition.splitId, new Step(event, partition.said));
    }

    private long neededFrom(Partition partition) {
        return decoder.neededFrom(partition.lane).orElse(partition.next);
    }

    @Override
    public void wakeUp() {
        consumer.wakeup();
    }

    @Override
    public void close() throws Exception {
        decoder.close();
        plans.close();
        consumer.close();
    }
}
