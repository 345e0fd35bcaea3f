// SPDX-License-Identifier: Apache-2.0

package io.tributary.job.config;

import io.tributary.job.graph.JobTransport;
import io.tributary.job.graph.KafkaTransport;
import io.tributary.job.graph.MqttTransport;
import io.tributary.job.graph.ShmTransport;
import io.tributary.memory.mailbox.ShmUri;
import io.tributary.sources.base.staging.Staging;
import io.tributary.transport.kafka.KafkaOptions;
import io.tributary.transport.mqtt.BrokerOptions;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import org.apache.flink.configuration.ConfigOption;

/** Reads the transports of {@code job.yaml}. */
final class TransportSettings {

    /** Makes a transport of its URI and the options of its kind. */
    @FunctionalInterface
    private interface Reader {
        ConfiguredTransport read(String uri, JobYaml yaml, Staging staging);
    }

    /** Who reads the URIs of a scheme. A new transport adds a line here. */
    private static final Map<String, Reader> BY_SCHEME = new TreeMap<>();

    static {
        BrokerOptions.SCHEMES.forEach(scheme -> BY_SCHEME.put(scheme, TransportSettings::mqtt));
        BY_SCHEME.put(KafkaOptions.SCHEME, TransportSettings::kafka);
        BY_SCHEME.put(ShmUri.SCHEME, TransportSettings::shm);
    }

    private TransportSettings() {}

    /**
     * Reads all.
     *
     * @param staging where updates are that come in parts
     * @throws ConfigException at the first mistake
     */
    static List<ConfiguredTransport> read(JobYaml yaml, Staging staging) {
        List<String> uris = yaml.get(JobOptions.TRANSPORTS);
        List<ConfiguredTransport> all = new ArrayList<>();
        Set<String> schemes = new HashSet<>();
        for (int i = 0; i < uris.size(); i++) {
            ConfiguredTransport next = read(yaml, staging, i);
            String scheme = next.transport().scheme();
            if (!schemes.add(scheme)) {
                throw yaml.wrongItem(
                        JobOptions.TRANSPORTS,
                        i,
                        "'%s' is the second of kind '%s', expected one of each"
                                .formatted(uris.get(i), scheme));
            }
            all.add(next);
        }
        if (all.isEmpty()) {
            throw yaml.wrong(JobOptions.TRANSPORTS, "expected at least one URI");
        }
        return all;
    }

    private static ConfiguredTransport read(JobYaml yaml, Staging staging, int index) {
        String text = yaml.get(JobOptions.TRANSPORTS).get(index);
        // In YAML a word is easier to write than one with a colon behind it.
        String uri = text.contains(":") ? text : text + ":";
        Reader reader = BY_SCHEME.get(uri.split(":", 2)[0]);
        try {
            if (reader == null) {
                throw new IllegalArgumentException(
                        "'%s': expected a URI that begins with one of %s"
                                .formatted(text, BY_SCHEME.keySet()));
            }
            return reader.read(uri, yaml, staging);
        } catch (ConfigException e) {
            throw e;
        } catch (IllegalArgumentException e) {
            throw yaml.wrongItem(JobOptions.TRANSPORTS, index, e.getMessage());
        }
    }

    private static ConfiguredTransport mqtt(String uri, JobYaml yaml, Staging staging) {
        BrokerOptions broker = BrokerOptions.of(uri);
        String files =
                yaml.get(JobOptions.MQTT_CA_FILE)
                        + yaml.get(JobOptions.MQTT_CERTIFICATE)
                        + yaml.get(JobOptions.MQTT_KEY);
        if (!broker.tls() && !files.isEmpty()) {
            throw new IllegalArgumentException(
                    "'%s' has no TLS, which %s and certificates need; use mqtts:// or wss://"
                            .formatted(uri, JobOptions.MQTT_CA_FILE.key()));
        }
        BrokerOptions job =
                broker.withPassword(
                                yaml.get(JobOptions.MQTT_USER), yaml.get(JobOptions.MQTT_PASSWORD))
                        .withCaFile(yaml.get(JobOptions.MQTT_CA_FILE))
                        .withCertificate(
                                yaml.get(JobOptions.MQTT_CERTIFICATE),
                                yaml.get(JobOptions.MQTT_KEY));
        BrokerOptions trainer =
                job.withPassword(
                        yaml.get(JobOptions.MQTT_TRAINER_USER),
                        yaml.get(JobOptions.MQTT_TRAINER_PASSWORD));
        return new ConfiguredTransport(
                new MqttTransport(job, staging),
                new ForeignClient(Optional.of(trainer), Optional.empty()));
    }

    private static ConfiguredTransport kafka(String uri, JobYaml yaml, Staging staging) {
        KafkaOptions servers = KafkaOptions.ofUri(uri);
        return new ConfiguredTransport(
                new KafkaTransport(
                        with(servers, yaml, JobOptions.KAFKA_PROPERTIES), staging, false),
                new ForeignClient(
                        Optional.empty(),
                        Optional.of(with(servers, yaml, JobOptions.KAFKA_TRAINER_PROPERTIES))));
    }

    private static KafkaOptions with(
            KafkaOptions servers, JobYaml yaml, ConfigOption<Map<String, String>> properties) {
        Map<String, String> all = yaml.get(properties);
        for (Map.Entry<String, String> property : all.entrySet()) {
            try {
                servers.withProperties(Map.of(property.getKey(), property.getValue()));
            } catch (IllegalArgumentException e) {
                throw yaml.wrong(properties, property.getKey(), e.getMessage());
            }
        }
        return servers.withProperties(all);
    }

    private static ConfiguredTransport shm(String text, JobYaml yaml, Staging staging) {
        ShmUri uri = ShmUri.parse(text);
        if (uri.directory().isPresent()) {
            throw new IllegalArgumentException(
                    "'%s': expected no directory; all transports of a job use that of %s"
                            .formatted(text, JobOptions.REGIONS.key()));
        }
        JobTransport transport =
                new ShmTransport(staging.regions(), staging.quotaBytes(), uri.agentPort());
        return new ConfiguredTransport(transport, ForeignClient.NONE);
    }
}
