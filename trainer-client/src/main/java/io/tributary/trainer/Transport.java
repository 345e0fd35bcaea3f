// SPDX-License-Identifier: Apache-2.0

package io.tributary.trainer;

import io.tributary.memory.mailbox.Mailbox;
import io.tributary.memory.region.TrustedDirectory;
import io.tributary.transport.kafka.KafkaOptions;
import io.tributary.transport.mqtt.BrokerOptions;
import java.nio.file.Path;

/** How a trainer reaches its job. */
public sealed interface Transport {

    /**
     * MQTT.
     *
     * @param broker the broker
     */
    record Mqtt(BrokerOptions broker) implements Transport {}

    /**
     * Shared memory, on the job's host.
     *
     * @param directory the job's region directory
     * @param agentPort where the node agent is; without one, all takes a few seconds longer
     */
    record Shm(Path directory, int agentPort) implements Transport {}

    /**
     * Kafka.
     *
     * @param kafka the brokers
     */
    record Kafka(KafkaOptions kafka) implements Transport {}

    /** Kafka, by these brokers. */
    static Transport kafka(KafkaOptions kafka) {
        return new Kafka(kafka);
    }

    /** MQTT, by this broker. */
    static Transport mqtt(BrokerOptions broker) {
        return new Mqtt(broker);
    }

    /** Shared memory, where it is by default. */
    static Transport shm() {
        return shm(TrustedDirectory.of(TrustedDirectory.DEFAULT), Mailbox.DEFAULT_PORT);
    }

    /** Shared memory. */
    static Transport shm(Path directory, int agentPort) {
        return new Shm(directory, agentPort);
    }
}
