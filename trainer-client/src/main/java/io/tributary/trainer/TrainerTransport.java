// SPDX-License-Identifier: Apache-2.0

package io.tributary.trainer;

import io.tributary.memory.mailbox.Mailbox;
import io.tributary.memory.mailbox.ShmUri;
import io.tributary.memory.region.TrustedDirectory;
import io.tributary.transport.kafka.KafkaOptions;
import io.tributary.transport.mqtt.BrokerOptions;
import java.nio.file.Path;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;

/**
 * How a trainer reaches its job. A URI names one: {@code mqtt://HOST:PORT}, {@code
 * kafka://HOST:PORT} or {@code shm:}. Immutable and thread-safe.
 */
public abstract class TrainerTransport {

    /** Makes a transport of its URI and what is shown to it. */
    @FunctionalInterface
    private interface Reader {
        TrainerTransport read(String uri, Credentials credentials);
    }

    /** Who reads the URIs of a scheme. A new transport adds a line here. */
    private static final Map<String, Reader> BY_SCHEME = new TreeMap<>();

    static {
        BrokerOptions.SCHEMES.forEach(
                scheme -> BY_SCHEME.put(scheme, (uri, all) -> mqtt(all.to(BrokerOptions.of(uri)))));
        BY_SCHEME.put(KafkaOptions.SCHEME, (uri, all) -> kafka(all.to(KafkaOptions.ofUri(uri))));
        BY_SCHEME.put(
                ShmUri.SCHEME,
                (uri, all) -> {
                    all.requireNone(uri);
                    return shm(ShmUri.parse(uri));
                });
    }

    private final String scheme;

    /**
     * @param scheme what its URIs begin with
     */
    TrainerTransport(String scheme) {
        this.scheme = scheme;
    }

    /**
     * The transport that a URI names, with nothing to show.
     *
     * @throws IllegalArgumentException when there is none, or the URI is not of its form
     */
    public static TrainerTransport of(String uri) {
        return of(uri, Credentials.NONE);
    }

    /**
     * The transport that a URI names.
     *
     * @param credentials what is shown to the broker
     * @throws IllegalArgumentException when there is none, the URI is not of its form, or the
     *     transport has no use for the credentials
     */
    public static TrainerTransport of(String uri, Credentials credentials) {
        // A word is easier to write than one with a colon behind it.
        String whole = uri.contains(":") ? uri : uri + ":";
        Reader reader = BY_SCHEME.get(whole.split(":", 2)[0]);
        if (reader == null) {
            throw new IllegalArgumentException(
                    "transport '%s': expected a URI that begins with one of %s"
                            .formatted(uri, BY_SCHEME.keySet()));
        }
        return reader.read(whole, credentials);
    }

    /** Kafka, by these brokers. */
    public static TrainerTransport kafka(KafkaOptions kafka) {
        return new TrainerTransport(KafkaOptions.SCHEME) {
            @Override
            TrainerConnection connect(Identity self, Path directory, Inbox inbox) {
                return new KafkaTrainerConnection(self, kafka, directory, inbox);
            }
        };
    }

    /** MQTT, by this broker. */
    public static TrainerTransport mqtt(BrokerOptions broker) {
        return new TrainerTransport("mqtt") {
            @Override
            TrainerConnection connect(Identity self, Path directory, Inbox inbox) {
                return new MqttTrainerConnection(self, broker, directory, inbox);
            }
        };
    }

    /** Shared memory on the job's host, where it is by default. */
    public static TrainerTransport shm() {
        return shm(new ShmUri(Optional.empty(), Mailbox.DEFAULT_PORT));
    }

    private static TrainerTransport shm(ShmUri uri) {
        return shm(
                TrustedDirectory.of(uri.directory().orElse(TrustedDirectory.DEFAULT)),
                uri.agentPort());
    }

    /**
     * Shared memory on the job's host.
     *
     * @param directory the job's region directory
     * @param agentPort where the node agent is; without one, all takes a few seconds longer
     */
    public static TrainerTransport shm(Path directory, int agentPort) {
        return new TrainerTransport(ShmUri.SCHEME) {
            @Override
            TrainerConnection connect(Identity self, Path ignored, Inbox inbox) {
                return new ShmTrainerConnection(self, directory, agentPort, inbox);
            }
        };
    }

    /** What its URIs begin with. */
    public String scheme() {
        return scheme;
    }

    /**
     * Connects a trainer.
     *
     * @param self who it is
     * @param directory where its models and updates are, unless the job's own are used
     * @param inbox where everything goes that the job says
     */
    abstract TrainerConnection connect(Identity self, Path directory, Inbox inbox);
}
