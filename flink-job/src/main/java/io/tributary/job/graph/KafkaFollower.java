// SPDX-License-Identifier: Apache-2.0

package io.tributary.job.graph;

import io.tributary.protocol.Json;
import io.tributary.protocol.RejectedException;
import io.tributary.protocol.message.ModelDescription;
import io.tributary.protocol.message.RoundStatus;
import io.tributary.transport.kafka.KafkaOptions;
import io.tributary.transport.kafka.KafkaTopics;
import io.tributary.transport.kafka.TopicSetup;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.List;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.WakeupException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Reads a job's status topic from now on. */
final class KafkaFollower {

    private static final Logger LOG = LoggerFactory.getLogger(KafkaFollower.class);
    private static final Duration POLL = Duration.ofMillis(200);

    private KafkaFollower() {}

    /** Reads on a thread of its own until closed. */
    static AutoCloseable start(KafkaOptions kafka, KafkaTopics topics, JobListener listener) {
        TopicSetup.ensure(kafka, topics);
        KafkaConsumer<byte[], byte[]> consumer = new KafkaConsumer<>(kafka.consumer());
        TopicPartition status = new TopicPartition(topics.status(), 0);
        consumer.assign(List.of(status));
        consumer.seekToEnd(List.of(status));
        // Now, so that nothing is missed that comes before the thread runs.
        consumer.position(status);
        Thread reader = new Thread(() -> follow(consumer, listener), "job-follower");
        reader.setDaemon(true);
        reader.start();
        return () -> {
            consumer.wakeup();
            reader.join();
        };
    }

    private static void follow(KafkaConsumer<byte[], byte[]> consumer, JobListener listener) {
        try (consumer) {
            while (true) {
                consumer.poll(POLL).forEach(record -> show(record, listener));
            }
        } catch (WakeupException expected) {
            // Closed.
        }
    }

    private static void show(ConsumerRecord<byte[], byte[]> record, JobListener listener) {
        try {
            if (new String(record.key(), StandardCharsets.UTF_8).equals("status")) {
                listener.status(Json.decode(record.value(), RoundStatus.class));
            } else {
                listener.model(Json.decode(record.value(), ModelDescription.class));
            }
        } catch (RejectedException e) {
            LOG.warn("ignored on {}: {}", record.topic(), e.getMessage());
        }
    }
}
