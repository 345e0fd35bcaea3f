// SPDX-License-Identifier: Apache-2.0

package io.tributary.sources.kafka;

import io.tributary.protocol.Json;
import io.tributary.protocol.RejectedException;
import io.tributary.protocol.message.RoundPlan;
import io.tributary.protocol.message.Run;
import io.tributary.transport.kafka.KafkaOptions;
import io.tributary.transport.kafka.KafkaTopics;
import java.time.Duration;
import java.util.List;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;

/** Reads a job's plans for the one that ends it. Not thread-safe. */
final class JobEndWatcher implements AutoCloseable {

    private static final long PAUSE_NANOS = 500_000_000;

    private final KafkaConsumer<byte[], byte[]> consumer;
    private final Run run;
    private long looked = System.nanoTime();
    private boolean ended;

    JobEndWatcher(KafkaOptions kafka, KafkaTopics topics, Run run) {
        this.run = run;
        this.consumer = new KafkaConsumer<>(kafka.consumer());
        TopicPartition rounds = new TopicPartition(topics.rounds(), 0);
        consumer.assign(List.of(rounds));
        consumer.seekToBeginning(List.of(rounds));
    }

    /** Whether the job has ended, as far as was seen in the last half second. */
    boolean ended() {
        if (!ended && System.nanoTime() - looked > PAUSE_NANOS) {
            looked = System.nanoTime();
            for (ConsumerRecord<byte[], byte[]> plan : consumer.poll(Duration.ZERO)) {
                ended |= ends(plan.value());
            }
        }
        return ended;
    }

    private boolean ends(byte[] plan) {
        try {
            return plan != null && run.endsWith(Json.decode(plan, RoundPlan.class));
        } catch (RejectedException e) {
            // Somebody else's; trainers report it.
            return false;
        }
    }

    @Override
    public void close() {
        consumer.close();
    }
}
