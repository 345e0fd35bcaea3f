// SPDX-License-Identifier: Apache-2.0

package io.tributary.sources.kafka;

import io.tributary.protocol.Json;
import io.tributary.protocol.kafka.KafkaOptions;
import java.io.Serializable;
import java.nio.charset.StandardCharsets;
import java.util.function.Function;
import org.apache.flink.connector.base.DeliveryGuarantee;
import org.apache.flink.connector.kafka.sink.KafkaSink;
import org.apache.flink.connector.kafka.sink.TransactionNamingStrategy;
import org.apache.kafka.clients.producer.ProducerRecord;

/** Sinks of Flink's connector, with our records. */
public final class KafkaSinks {

    /** The longest that brokers allow by default; a checkpoint must complete within it. */
    private static final String TRANSACTION_TIMEOUT_MILLIS = "900000";

    private KafkaSinks() {}

    /**
     * Makes a record of a value.
     *
     * @param <T> the values' type
     */
    @FunctionalInterface
    public interface Encoder<T> extends Function<T, ProducerRecord<byte[], byte[]>>, Serializable {}

    /**
     * @param id unique among the sinks of all jobs of a Kafka cluster
     */
    public static <T> KafkaSink<T> of(
            KafkaOptions kafka, String id, DeliveryGuarantee guarantee, Encoder<T> encoder) {
        return KafkaSink.<T>builder()
                .setKafkaProducerConfig(kafka.producerLimits())
                .setProperty("transaction.timeout.ms", TRANSACTION_TIMEOUT_MILLIS)
                .setBootstrapServers(kafka.bootstrapServers())
                .setDeliveryGuarantee(guarantee)
                .setTransactionalIdPrefix("tributary-" + id)
                .setTransactionNamingStrategy(TransactionNamingStrategy.POOLING)
                .setRecordSerializer((value, context, timestamp) -> encoder.apply(value))
                .build();
    }

    /** A value as JSON. */
    public static ProducerRecord<byte[], byte[]> json(String topic, String key, Object value) {
        return new ProducerRecord<>(
                topic, key.getBytes(StandardCharsets.UTF_8), Json.encode(value));
    }
}
