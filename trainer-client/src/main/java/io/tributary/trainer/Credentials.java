// SPDX-License-Identifier: Apache-2.0

package io.tributary.trainer;

import io.tributary.transport.kafka.KafkaOptions;
import io.tributary.transport.mqtt.BrokerOptions;
import java.util.Map;

/**
 * What a trainer shows to a broker. Immutable.
 *
 * @param user MQTT user name; empty for none
 * @param password its password; empty for none
 * @param caFile PEM file with the certificates to trust; empty for the JVM's own
 * @param certificate PEM file with the client's certificate chain; empty for none
 * @param key PEM file with the client's PKCS #8 key; empty for none
 * @param kafkaProperties handed to Kafka's clients as they are, for SASL and TLS
 */
public record Credentials(
        String user,
        String password,
        String caFile,
        String certificate,
        String key,
        Map<String, String> kafkaProperties) {

    /** None. */
    public static final Credentials NONE = new Credentials("", "", "", "", "", Map.of());

    public Credentials {
        kafkaProperties = Map.copyOf(kafkaProperties);
    }

    /** The broker, with these shown to it. */
    BrokerOptions to(BrokerOptions broker) {
        require(kafkaProperties.isEmpty(), broker.url(), "takes no properties of Kafka's clients");
        require(
                broker.tls() || (caFile + certificate + key).isEmpty(),
                broker.url(),
                "has no TLS, which certificates need; use mqtts:// or wss://");
        return broker.withPassword(user, password)
                .withCaFile(caFile)
                .withCertificate(certificate, key);
    }

    /** The brokers, with these shown to them. */
    KafkaOptions to(KafkaOptions kafka) {
        require(
                withoutMqtt(),
                KafkaOptions.SCHEME + "://" + kafka,
                "takes no user, password or certificate but as properties of Kafka's clients");
        return kafka.withProperties(kafkaProperties);
    }

    /** Refuses to be shown to nobody. */
    void requireNone(String uri) {
        require(withoutMqtt() && kafkaProperties.isEmpty(), uri, "takes no credentials");
    }

    private boolean withoutMqtt() {
        return (user + password + caFile + certificate + key).isEmpty();
    }

    private static void require(boolean ok, String uri, String what) {
        if (!ok) {
            throw new IllegalArgumentException("transport '%s': it %s".formatted(uri, what));
        }
    }

    /** Without what is secret. */
    @Override
    public String toString() {
        return user;
    }
}
