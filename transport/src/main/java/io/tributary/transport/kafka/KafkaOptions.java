// SPDX-License-Identifier: Apache-2.0

package io.tributary.transport.kafka;

import io.tributary.protocol.ShortText;
import io.tributary.transport.HostPort;
import io.tributary.transport.Secret;
import java.io.Serializable;
import java.time.Duration;
import java.util.HashMap;
import java.util.Map;
import java.util.Properties;
import java.util.Set;

/**
 * How to reach Kafka. Immutable.
 *
 * @param bootstrapServers {@code host:port}, several separated by commas
 * @param properties handed to every Kafka client as they are, for SASL and TLS; a value may be kept
 *     elsewhere ({@link Secret})
 */
public record KafkaOptions(String bootstrapServers, Map<String, String> properties)
        implements Serializable {

    /** What the URI of brokers begins with, before the colon. */
    public static final String SCHEME = "kafka";

    /** A chunk of 1 MiB with its headers. */
    public static final int MAX_MESSAGE_BYTES = 2 << 20;

    /** How long a broker may be away before a sending fails. */
    private static final Duration PATIENCE = Duration.ofMinutes(2);

    /** How long an answer about topics may take. */
    private static final Duration ANSWER = Duration.ofSeconds(15);

    /** What the protocol and its guarantees depend on. */
    private static final Set<String> OURS =
            Set.of(
                    "bootstrap.servers",
                    "key.serializer",
                    "value.serializer",
                    "key.deserializer",
                    "value.deserializer",
                    "isolation.level",
                    "enable.auto.commit",
                    "auto.offset.reset",
                    "allow.auto.create.topics",
                    "enable.idempotence",
                    "acks",
                    "retries",
                    "max.in.flight.requests.per.connection",
                    "partitioner.class",
                    "partitioner.ignore.keys",
                    "transactional.id");

    private static final String MAX_REQUEST = "max.request.size";

    public KafkaOptions {
        try {
            HostPort.parseAll(bootstrapServers);
        } catch (IllegalArgumentException e) {
            throw new IllegalArgumentException(
                    "Kafka's bootstrap servers %s; several are separated by commas"
                            .formatted(e.getMessage()),
                    e);
        }
        for (String key : properties.keySet()) {
            if (OURS.contains(key)) {
                throw new IllegalArgumentException(
                        "Kafka's property '%s' is not to be chosen: %s"
                                .formatted(
                                        key,
                                        key.equals("bootstrap.servers")
                                                ? "the address has a setting of its own"
                                                : "that no update is lost or counted twice depends on it; leave it out"));
            }
        }
        String most = properties.get(MAX_REQUEST);
        if (most != null
                && (!most.matches("[0-9]{1,9}") || Integer.parseInt(most) < MAX_MESSAGE_BYTES)) {
            throw new IllegalArgumentException(
                    "Kafka's property '%s' is '%s', expected %d or more: a chunk with its headers has to fit"
                            .formatted(MAX_REQUEST, most, MAX_MESSAGE_BYTES));
        }
        // A map that every serializer knows.
        properties = new HashMap<>(properties);
    }

    /** A broker without security. */
    public static KafkaOptions of(String bootstrapServers) {
        return new KafkaOptions(bootstrapServers, Map.of());
    }

    /**
     * The brokers that {@code kafka://HOST:PORT[,HOST:PORT…]} names, without security.
     *
     * @throws IllegalArgumentException when it is something else
     */
    public static KafkaOptions ofUri(String uri) {
        String prefix = SCHEME + "://";
        if (!uri.startsWith(prefix)) {
            throw new IllegalArgumentException(
                    "'%s': expected kafka://HOST:PORT, several HOST:PORT separated by commas"
                            .formatted(ShortText.of(uri, 200)));
        }
        return of(uri.substring(prefix.length()));
    }

    /** With properties that are handed to every Kafka client as they are. */
    public KafkaOptions withProperties(Map<String, String> all) {
        return new KafkaOptions(bootstrapServers, all);
    }

    /** What all clients need. */
    public Properties client() {
        Properties all = new Properties();
        properties.forEach((key, value) -> all.put(key, Secret.resolve(value)));
        all.put("bootstrap.servers", bootstrapServers);
        // A broker that comes back is to be found soon.
        all.putIfAbsent("reconnect.backoff.max.ms", "1000");
        return all;
    }

    /**
     * What makes topics and looks at them. It is waited for, so it says soon that nobody answers,
     * unless the user has chosen how long.
     */
    public Properties admin() {
        Properties all = client();
        if (!all.containsKey("request.timeout.ms") && !all.containsKey("default.api.timeout.ms")) {
            all.put("request.timeout.ms", (int) ANSWER.toMillis());
            all.put("default.api.timeout.ms", (int) ANSWER.toMillis());
        }
        return all;
    }

    /** A consumer of bytes, of committed transactions alone, that keeps its place itself. */
    public Properties consumer() {
        Properties all = client();
        String bytes = "org.apache.kafka.common.serialization.ByteArrayDeserializer";
        all.put("key.deserializer", bytes);
        all.put("value.deserializer", bytes);
        all.put("isolation.level", "read_committed");
        all.put("enable.auto.commit", "false");
        // Where a topic was made anew, all in it is new.
        all.put("auto.offset.reset", "earliest");
        all.put("allow.auto.create.topics", "false");
        all.putIfAbsent("fetch.max.bytes", Integer.toString(32 << 20));
        all.putIfAbsent("max.partition.fetch.bytes", Integer.toString(8 << 20));
        all.putIfAbsent("max.poll.records", "32");
        // As much as the system sees fit, rather than 64 KiB.
        all.putIfAbsent("receive.buffer.bytes", "-1");
        // Chunks have a checksum of their own, from end to end.
        all.putIfAbsent("check.crcs", "false");
        return all;
    }

    /** An idempotent producer of bytes. */
    public Properties producer() {
        Properties all = producerLimits();
        String bytes = "org.apache.kafka.common.serialization.ByteArraySerializer";
        all.put("key.serializer", bytes);
        all.put("value.serializer", bytes);
        return all;
    }

    /** What every producer of ours needs, also those that Flink's connector makes. */
    public Properties producerLimits() {
        Properties all = client();
        all.put("enable.idempotence", "true");
        all.put("acks", "all");
        all.putIfAbsent(MAX_REQUEST, Integer.toString(MAX_MESSAGE_BYTES));
        all.putIfAbsent("batch.size", Integer.toString(MAX_MESSAGE_BYTES / 2));
        all.putIfAbsent("linger.ms", "0");
        all.putIfAbsent("send.buffer.bytes", "-1");
        all.putIfAbsent("delivery.timeout.ms", Long.toString(PATIENCE.toMillis()));
        return all;
    }

    @Override
    public String toString() {
        // Properties may hold passwords.
        return bootstrapServers;
    }
}
