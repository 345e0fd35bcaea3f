// SPDX-License-Identifier: Apache-2.0

package io.tributary.trainer;

import io.tributary.protocol.Json;
import io.tributary.protocol.RejectedException;
import io.tributary.protocol.chunk.ChunkPart;
import io.tributary.protocol.chunk.ModelChunkHeader;
import io.tributary.protocol.message.ControlMessage;
import io.tributary.protocol.message.ControlMessage.Type;
import io.tributary.protocol.message.Evaluation;
import io.tributary.protocol.message.Receipt;
import io.tributary.protocol.message.RoundPlan;
import io.tributary.transport.kafka.KafkaHeaders;
import io.tributary.transport.kafka.KafkaOptions;
import io.tributary.transport.kafka.KafkaTopics;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.concurrent.locks.LockSupport;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.WakeupException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A trainer's connection over Kafka: an idempotent producer for what it says, one consumer for
 * plans, models and receipts. There is no last will; the job finds a dead trainer by its silence.
 */
final class KafkaTrainerConnection implements TrainerConnection {

    private static final Logger LOG = LoggerFactory.getLogger(KafkaTrainerConnection.class);
    private static final Duration POLL = Duration.ofMillis(200);

    /** Chunks whose acknowledgement is awaited while more are sent: 32 MiB. */
    private static final int IN_FLIGHT = 32;

    private final Identity self;
    private final byte[] key;
    private final KafkaTopics topics;
    private final Inbox inbox;
    private final UpdateChunks chunks;
    private final UpdateRegions regions;
    private final KafkaProducer<byte[], byte[]> producer;
    private final KafkaConsumer<byte[], byte[]> consumer;
    private final Thread reader;
    private volatile boolean asked;
    private volatile boolean closed;

    KafkaTrainerConnection(Identity self, KafkaOptions kafka, Path directory, Inbox inbox) {
        this.self = self;
        this.key = self.trainer().getBytes(StandardCharsets.UTF_8);
        this.topics = new KafkaTopics(self.job());
        this.inbox = inbox;
        this.chunks = new UpdateChunks(self, inbox::token);
        this.regions = UpdateRegions.in(directory);
        this.producer = new KafkaProducer<>(kafka.producer());
        this.consumer = new KafkaConsumer<>(kafka.consumer());
        this.reader = new Thread(this::read, "kafka-" + self.trainer());
        reader.setDaemon(true);
        reader.start();
    }

    private void read() {
        try (consumer) {
            List<TopicPartition> all = awaitTopics();
            if (closed) {
                return;
            }
            consumer.assign(all);
            consumer.seekToBeginning(all);
            // Receipts are of interest from now on: what is unanswered is sent again. Models are
            // when the job has said which run it is.
            consumer.seekToEnd(
                    all.stream().filter(p -> !p.topic().equals(topics.rounds())).toList());
            catchUp(all);
            while (!closed) {
                if (asked) {
                    asked = false;
                    consumer.seekToBeginning(
                            all.stream().filter(p -> p.topic().equals(topics.model())).toList());
                }
                for (ConsumerRecord<byte[], byte[]> record : consumer.poll(POLL)) {
                    accept(record);
                }
            }
        } catch (WakeupException expected) {
            // Closed.
        } catch (RuntimeException e) {
            inbox.fail(
                    new IllegalStateException(
                            "%s: the job cannot be heard any more: %s"
                                    .formatted(self.trainer(), e.getMessage()),
                            e));
        }
    }

    /** The job makes its topics; a trainer may be there before it. */
    private List<TopicPartition> awaitTopics() {
        List<TopicPartition> all = new ArrayList<>();
        for (String topic : List.of(topics.rounds(), topics.model(), topics.receipts())) {
            var partitions = consumer.partitionsFor(topic);
            while (partitions.isEmpty() && !closed) {
                LockSupport.parkNanos(POLL.toNanos());
                partitions = consumer.partitionsFor(topic);
            }
            partitions.forEach(p -> all.add(new TopicPartition(topic, p.partition())));
        }
        return all;
    }

    /** Of the plans that were made before now only the last is worth anything. */
    private void catchUp(List<TopicPartition> all) {
        TopicPartition rounds =
                all.stream().filter(p -> p.topic().equals(topics.rounds())).findFirst().get();
        long end = consumer.endOffsets(List.of(rounds)).get(rounds);
        Optional<ConsumerRecord<byte[], byte[]>> newest = Optional.empty();
        while (!closed && consumer.position(rounds) < end) {
            for (ConsumerRecord<byte[], byte[]> record : consumer.poll(POLL)) {
                if (record.topic().equals(topics.rounds())) {
                    newest = Optional.of(record);
                } else {
                    accept(record);
                }
            }
        }
        newest.ifPresent(this::accept);
    }

    private void accept(ConsumerRecord<byte[], byte[]> record) {
        try {
            if (record.topic().equals(topics.rounds())) {
                inbox.plan(Json.decode(record.value(), RoundPlan.class));
            } else if (record.topic().equals(topics.model())) {
                inbox.chunk(
                        ModelChunkHeader.fromProperties(KafkaHeaders.toMap(record.headers())),
                        record.value());
            } else if (Arrays.equals(record.key(), key)) {
                inbox.receipt(Json.decode(record.value(), Receipt.class));
            }
        } catch (RejectedException e) {
            inbox.ignored("on " + record.topic(), e);
        }
    }

    @Override
    public void sendControl(Type type) {
        Future<RecordMetadata> sent = say(self.says(type));
        if (type == Type.LEAVE) {
            await(sent);
        }
    }

    @Override
    public void evaluate(Evaluation said) {
        say(self.says(said));
    }

    private Future<RecordMetadata> say(ControlMessage message) {
        return producer.send(
                new ProducerRecord<>(topics.control(), key, Json.encode(message)),
                (metadata, e) -> {
                    if (e != null) {
                        LOG.warn(
                                "{}: {} could not be sent: {}",
                                self.trainer(),
                                message.type(),
                                e.getMessage());
                    }
                });
    }

    @Override
    public void requestModel() {
        asked = true;
    }

    @Override
    public UpdateRegions regions() {
        return regions;
    }

    @Override
    public void publish(ModelUpdate update) {
        List<Future<RecordMetadata>> sent = new ArrayList<>();
        UpdateChunks.Sending sending = chunks.begin(update, ChunkPart.MAX_CHUNK_BYTES);
        for (int chunk = 0; chunk < sending.count(); chunk++) {
            if (chunk >= IN_FLIGHT) {
                await(sent.get(chunk - IN_FLIGHT));
            }
            Map<String, String> properties = sending.properties(chunk);
            byte[] bytes = new byte[sending.bytes(chunk).remaining()];
            sending.bytes(chunk).get(bytes);
            sent.add(
                    producer.send(
                            new ProducerRecord<>(
                                    topics.updates(),
                                    null,
                                    key,
                                    bytes,
                                    KafkaHeaders.of(properties))));
        }
        sent.forEach(this::await);
    }

    private void await(Future<RecordMetadata> sent) {
        try {
            sent.get();
        } catch (ExecutionException e) {
            // No receipt will come for it, so it will be sent again.
            LOG.warn("{}: not sent: {}", self.trainer(), e.getCause().getMessage());
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException("interrupted while sending", e);
        }
    }

    @Override
    public void acknowledge(ModelUpdate update) {
        update.owned().free();
    }

    @Override
    public boolean isDurable() {
        return true;
    }

    @Override
    public void abort() {
        end(Duration.ZERO);
    }

    @Override
    public void close() {
        end(Duration.ofSeconds(10));
    }

    private void end(Duration patience) {
        closed = true;
        consumer.wakeup();
        try {
            reader.join();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
        try (regions) {
            producer.close(patience);
        }
    }
}
