// SPDX-License-Identifier: Apache-2.0

package io.tributary.sources.kafka;

import io.tributary.protocol.Json;
import io.tributary.transport.kafka.KafkaOptions;
import io.tributary.transport.kafka.KafkaTopics;
import io.tributary.transport.kafka.TopicSetup;
import java.io.Serializable;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Optional;
import java.util.Properties;
import java.util.function.Function;
import org.apache.flink.api.connector.sink2.Sink;
import org.apache.flink.connector.base.DeliveryGuarantee;
import org.apache.flink.connector.kafka.lineage.DefaultKafkaDatasetFacet;
import org.apache.flink.connector.kafka.lineage.DefaultKafkaDatasetIdentifier;
import org.apache.flink.connector.kafka.lineage.KafkaDatasetFacet;
import org.apache.flink.connector.kafka.lineage.KafkaDatasetFacetProvider;
import org.apache.flink.connector.kafka.sink.KafkaRecordSerializationSchema;
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
     * @param all the job's topics, which are made where they are missing
     * @param id unique among the sinks of all jobs of a Kafka cluster
     * @param topics where its records go; transactions that a crash left open there are aborted
     */
    public static <T> Sink<T> of(
            KafkaOptions kafka,
            KafkaTopics all,
            String id,
            DeliveryGuarantee guarantee,
            List<String> topics,
            Encoder<T> encoder) {
        return new StoppingSink<>(
                () -> TopicSetup.ensure(kafka, all),
                known ->
                        sink(
                                known ? kafka : KafkaOptions.of(kafka.bootstrapServers()),
                                id,
                                guarantee,
                                topics,
                                encoder));
    }

    private static <T> KafkaSink<T> sink(
            KafkaOptions kafka,
            String id,
            DeliveryGuarantee guarantee,
            List<String> topics,
            Encoder<T> encoder) {
        return KafkaSink.<T>builder()
                .setKafkaProducerConfig(transactions(kafka))
                .setBootstrapServers(kafka.bootstrapServers())
                .setDeliveryGuarantee(guarantee)
                .setTransactionalIdPrefix("tributary-" + id)
                .setTransactionNamingStrategy(TransactionNamingStrategy.POOLING)
                .setRecordSerializer(new RecordSerializer<>(topics, encoder))
                .build();
    }

    private static Properties transactions(KafkaOptions kafka) {
        Properties all = kafka.producerLimits();
        all.putIfAbsent("transaction.timeout.ms", TRANSACTION_TIMEOUT_MILLIS);
        return all;
    }

    private record RecordSerializer<T>(List<String> topics, Encoder<T> encoder)
            implements KafkaRecordSerializationSchema<T>, KafkaDatasetFacetProvider {

        @Override
        public ProducerRecord<byte[], byte[]> serialize(
                T value, KafkaSinkContext context, Long timestamp) {
            return encoder.apply(value);
        }

        @Override
        public Optional<KafkaDatasetFacet> getKafkaDatasetFacet() {
            return Optional.of(
                    new DefaultKafkaDatasetFacet(DefaultKafkaDatasetIdentifier.ofTopics(topics)));
        }
    }

    /** A value as JSON. */
    public static ProducerRecord<byte[], byte[]> json(String topic, String key, Object value) {
        return new ProducerRecord<>(
                topic, key.getBytes(StandardCharsets.UTF_8), Json.encode(value));
    }
}
