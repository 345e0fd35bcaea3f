// SPDX-License-Identifier: Apache-2.0

package io.tributary.job.graph;

import io.tributary.operators.model.PublishedModel;
import io.tributary.protocol.message.ModelDescription;
import io.tributary.sources.base.message.ModelChunk;
import io.tributary.sources.kafka.KafkaSinks;
import io.tributary.transport.kafka.KafkaHeaders;
import io.tributary.transport.kafka.KafkaTopics;
import java.nio.charset.StandardCharsets;
import org.apache.kafka.clients.producer.ProducerRecord;

/**
 * One record of a model on its way to Kafka; its bytes are read when it is written.
 *
 * @param model the model
 * @param chunk which chunk; the one after the last stands for the description
 */
public record ModelPart(PublishedModel model, int chunk) {

    /** What is written. */
    ProducerRecord<byte[], byte[]> record() {
        ModelDescription description = model.description();
        KafkaTopics topics = new KafkaTopics(description.job());
        if (chunk == ModelChunk.count(description)) {
            return KafkaSinks.json(topics.status(), "model", description);
        }
        ModelChunk read = ModelChunk.read(description, model.file().toString(), chunk);
        return new ProducerRecord<>(
                topics.model(),
                null,
                Integer.toString(chunk).getBytes(StandardCharsets.UTF_8),
                read.bytes(),
                KafkaHeaders.of(read.header().toProperties()));
    }
}
