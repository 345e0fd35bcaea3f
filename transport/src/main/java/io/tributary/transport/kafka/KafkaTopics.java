// SPDX-License-Identifier: Apache-2.0

package io.tributary.transport.kafka;

import io.tributary.protocol.message.Names;
import io.tributary.protocol.message.Topics;
import java.io.Serializable;
import java.util.List;
import java.util.Map;

/**
 * The Kafka topics of one job.
 *
 * @param job the job's name
 */
public record KafkaTopics(String job) implements Serializable {

    /** Partitions of the topics whose key is the trainer. */
    public static final int PARTITIONS = Topics.LANES;

    private static final String MAX_MESSAGE = Integer.toString(KafkaOptions.MAX_MESSAGE_BYTES);

    public KafkaTopics {
        Names.check("job", job);
    }

    /** Where trainers join, leave and show that they live; key is the trainer. */
    public String control() {
        return job + ".control";
    }

    /** Update chunks; key is the trainer. */
    public String updates() {
        return job + ".updates";
    }

    /** Round plans, one partition. */
    public String rounds() {
        return job + ".rounds";
    }

    /** Model chunks, one partition, compacted; key is the chunk. */
    public String model() {
        return job + ".model";
    }

    /** Receipts; key is the trainer. */
    public String receipts() {
        return job + ".receipts";
    }

    /** How rounds stand, and which models there are. */
    public String status() {
        return job + ".status";
    }

    /** What was rejected, and why. */
    public String deadLetters() {
        return job + ".dead-letters";
    }

    /**
     * A topic as it has to be.
     *
     * @param name its name
     * @param partitions how many it is made with
     * @param settings what it is made with, and must have
     */
    record Wanted(String name, int partitions, Map<String, String> settings) {}

    List<Wanted> all() {
        return List.of(
                new Wanted(control(), 1, Map.of()),
                new Wanted(updates(), PARTITIONS, Map.of("max.message.bytes", MAX_MESSAGE)),
                new Wanted(rounds(), 1, Map.of()),
                new Wanted(
                        model(),
                        1,
                        Map.of("max.message.bytes", MAX_MESSAGE, "cleanup.policy", "compact")),
                new Wanted(receipts(), PARTITIONS, Map.of()),
                new Wanted(status(), 1, Map.of()),
                new Wanted(deadLetters(), 1, Map.of()));
    }
}
