// SPDX-License-Identifier: Apache-2.0

package io.tributary.protocol.mqtt;

import java.nio.charset.StandardCharsets;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.HashMap;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CopyOnWriteArraySet;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.Consumer;
import java.util.function.LongSupplier;
import org.eclipse.paho.mqttv5.client.IMqttToken;
import org.eclipse.paho.mqttv5.client.MqttAsyncClient;
import org.eclipse.paho.mqttv5.client.MqttCallback;
import org.eclipse.paho.mqttv5.client.MqttDisconnectResponse;
import org.eclipse.paho.mqttv5.client.persist.MemoryPersistence;
import org.eclipse.paho.mqttv5.common.MqttException;
import org.eclipse.paho.mqttv5.common.MqttMessage;
import org.eclipse.paho.mqttv5.common.packet.MqttProperties;
import org.eclipse.paho.mqttv5.common.packet.UserProperty;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A connection to a broker that outlives the broker: it connects again with a growing pause,
 * subscribes again, and {@link #publish} waits for it. All messages have QoS 1; nothing depends on
 * the broker's sessions. Thread-safe.
 */
public final class MqttLink implements AutoCloseable {

    private static final int QOS = 1;

    /** Brokers take 10 or more unacknowledged messages; this leaves room for a heartbeat. */
    private static final int IN_FLIGHT = 8;

    private static final Logger LOG = LoggerFactory.getLogger(MqttLink.class);
    private static final long FIRST_PAUSE_MILLIS = 100;
    private static final long LONGEST_PAUSE_MILLIS = 5_000;
    static final long ACK_TIMEOUT_MILLIS = 10_000;

    /** A chunk of 1 MiB with its properties; a broker keeps what is larger to itself. */
    private static final long MAX_PACKET_BYTES = 2 << 20;

    private final BrokerOptions broker;
    private final MqttAsyncClient client;
    private final PayloadModules.Options connection;
    private final Consumer<Delivery> listener;
    private final CopyOnWriteArraySet<String> filters = new CopyOnWriteArraySet<>();
    private final AtomicInteger connections = new AtomicInteger();
    private final Thread keeper;
    private volatile boolean closed;

    /**
     * How a link behaves.
     *
     * @param clientId unique at the broker
     * @param receiveMaximum messages that may be under way to the listener, 1 to 65535
     * @param will what the broker sends when the link breaks
     */
    public record Settings(String clientId, int receiveMaximum, Optional<Publication> will) {}

    private MqttLink(BrokerOptions broker, Settings settings, Consumer<Delivery> listener)
            throws MqttException {
        this.broker = broker;
        this.listener = listener;
        this.connection = connection(broker, settings);
        this.client =
                new MqttAsyncClient(
                        PayloadModules.PREFIX + broker.url(),
                        settings.clientId(),
                        new MemoryPersistence());
        client.setManualAcks(true);
        client.setCallback(new Callback());
        this.keeper = new Thread(this::keepConnected, "mqtt-" + settings.clientId());
        keeper.setDaemon(true);
    }

    static PayloadModules.Options connection(BrokerOptions broker, Settings settings) {
        PayloadModules.Options connection = new PayloadModules.Options();
        connection.setCleanStart(true);
        connection.setAutomaticReconnect(false);
        connection.setConnectionTimeout(10);
        connection.setKeepAliveInterval(20);
        connection.setReceiveMaximum(settings.receiveMaximum());
        connection.setMaximumPacketSize(MAX_PACKET_BYTES);
        if (!broker.userName().isEmpty()) {
            connection.setUserName(broker.userName());
            connection.setPassword(broker.password().getBytes(StandardCharsets.UTF_8));
        }
        if (broker.url().startsWith("ssl:")) {
            connection.setSocketFactory(TlsContext.socketFactory(broker));
            connection.setHttpsHostnameVerificationEnabled(true);
        }
        settings.will()
                .ifPresent(
                        w ->
                                connection.setWill(
                                        w.topic(), new MqttMessage(w.payload(), QOS, false, null)));
        return connection;
    }

    /**
     * Connects, trying again with a growing pause.
     *
     * @param listener called on the link's own thread; blocking it stops the reading
     * @throws BrokerUnavailableException after the broker's patience
     */
    public static MqttLink connect(
            BrokerOptions broker, Settings settings, Consumer<Delivery> listener) {
        try {
            MqttLink link = new MqttLink(broker, settings, listener);
            try {
                link.awaitConnection(link::connectOnce);
            } catch (RuntimeException e) {
                link.close();
                throw e;
            }
            link.keeper.start();
            return link;
        } catch (MqttException e) {
            throw new IllegalArgumentException(
                    "client id '%s' or broker '%s' is not usable: %s"
                            .formatted(settings.clientId(), broker, e.getMessage()),
                    e);
        }
    }

    /** How often the link has been connected; rises at each reconnection. */
    public int connections() {
        return connections.get();
    }

    @FunctionalInterface
    private interface Attempt {
        void run() throws MqttException;
    }

    private void awaitConnection(Attempt attempt) {
        awaitConnection(attempt, () -> 0);
    }

    /**
     * Runs {@code attempt} until it succeeds, or for longer than the patience makes no progress.
     *
     * @param progress rises when it does
     */
    private void awaitConnection(Attempt attempt, LongSupplier progress) {
        long end = System.nanoTime() + broker.patience().toNanos();
        long pause = FIRST_PAUSE_MILLIS;
        long before = progress.getAsLong();
        while (true) {
            try {
                attempt.run();
                return;
            } catch (MqttException e) {
                if (BrokerRefusedException.refuses(e)) {
                    throw BrokerRefusedException.login(broker, e);
                }
                if (progress.getAsLong() > before) {
                    before = progress.getAsLong();
                    end = System.nanoTime() + broker.patience().toNanos();
                    pause = FIRST_PAUSE_MILLIS;
                }
                if (closed || System.nanoTime() + pause * 1_000_000 > end) {
                    throw new BrokerUnavailableException(broker, e);
                }
                sleep(pause);
                pause = Math.min(2 * pause, LONGEST_PAUSE_MILLIS);
            }
        }
    }

    private static void sleep(long millis) {
        try {
            Thread.sleep(millis);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException("interrupted while waiting for the broker", e);
        }
    }

    private void connectOnce() throws MqttException {
        if (client.isConnected()) {
            return;
        }
        client.connect(connection).waitForCompletion(ACK_TIMEOUT_MILLIS);
        // Counted before subscribing, because retained messages come with the subscription.
        connections.incrementAndGet();
        try {
            for (String filter : filters) {
                client.subscribe(filter, QOS).waitForCompletion(ACK_TIMEOUT_MILLIS);
            }
        } catch (MqttException e) {
            // Connected but deaf is worse than not connected, which is tried again.
            client.disconnectForcibly(0, 0, false);
            throw e;
        }
    }

    private void keepConnected() {
        long pause = FIRST_PAUSE_MILLIS;
        while (!closed) {
            try {
                if (client.isConnected()) {
                    pause = FIRST_PAUSE_MILLIS;
                } else {
                    connectOnce();
                }
            } catch (MqttException | RuntimeException e) {
                LOG.debug("{}: not connected: {}", broker, e.getMessage());
                pause = Math.min(2 * pause, LONGEST_PAUSE_MILLIS);
            }
            try {
                Thread.sleep(pause);
            } catch (InterruptedException e) {
                return;
            }
        }
    }

    /** Subscribes; the subscription lasts through reconnections. */
    public void subscribe(List<String> topicFilters) {
        filters.addAll(topicFilters);
        awaitConnection(
                () -> {
                    for (String filter : topicFilters) {
                        await(client.subscribe(filter, QOS), "subscribe to", filter);
                    }
                });
    }

    /** Sends one message and returns when the broker has it. */
    public void publish(Publication publication) {
        publish(List.of(publication));
    }

    /**
     * Sends messages in order and returns when the broker has them all. Where the connection
     * breaks, those not known to have arrived are sent again; receivers get them at least once.
     *
     * @throws BrokerUnavailableException when the broker stays away longer than its patience
     */
    public void publish(Iterable<Publication> publications) {
        // No lock: a heartbeat goes out while a large update is being sent.
        Iterator<Publication> rest = publications.iterator();
        Deque<Publication> unacknowledged = new ArrayDeque<>();
        AtomicLong acknowledged = new AtomicLong();
        awaitConnection(() -> send(rest, unacknowledged, acknowledged), acknowledged::get);
    }

    private void send(
            Iterator<Publication> rest, Deque<Publication> unacknowledged, AtomicLong acknowledged)
            throws MqttException {
        Deque<IMqttToken> tokens = new ArrayDeque<>();
        for (Publication again : unacknowledged) {
            tokens.add(send(again));
        }
        while (rest.hasNext()) {
            while (tokens.size() >= IN_FLIGHT) {
                acknowledged(tokens, unacknowledged, acknowledged);
            }
            Publication next = rest.next();
            unacknowledged.add(next);
            tokens.add(send(next));
        }
        while (!tokens.isEmpty()) {
            acknowledged(tokens, unacknowledged, acknowledged);
        }
    }

    private void acknowledged(
            Deque<IMqttToken> tokens, Deque<Publication> unacknowledged, AtomicLong acknowledged)
            throws MqttException {
        await(tokens.peek(), "publish to", unacknowledged.peek().topic());
        tokens.remove();
        unacknowledged.remove();
        acknowledged.incrementAndGet();
    }

    private void await(IMqttToken asked, String action, String topic) throws MqttException {
        asked.waitForCompletion(ACK_TIMEOUT_MILLIS);
        BrokerRefusedException.check(broker, action, topic, asked.getReasonCodes());
    }

    private IMqttToken send(Publication publication) throws MqttException {
        MqttProperties properties = new MqttProperties();
        properties.setUserProperties(
                publication.properties().entrySet().stream()
                        .map(p -> new UserProperty(p.getKey(), p.getValue()))
                        .toList());
        return client.publish(
                publication.topic(),
                new MqttMessage(publication.payload(), QOS, publication.retained(), properties));
    }

    /** Breaks the connection without a word, as a crash would: the broker sends the will. */
    public void abort() {
        end(false);
    }

    @Override
    public void close() {
        end(true);
    }

    private void end(boolean orderly) {
        closed = true;
        keeper.interrupt();
        try {
            if (orderly && client.isConnected()) {
                client.disconnect().waitForCompletion(ACK_TIMEOUT_MILLIS);
            } else {
                // Nobody is there to be told; Paho would wait for ever until somebody had been.
                client.disconnectForcibly(0, 0, false);
            }
        } catch (MqttException ignored) {
            // It is gone already, which is what is wanted.
        }
        try {
            client.close(true);
        } catch (MqttException ignored) {
            // Nothing is left to be closed.
        }
    }

    private final class Callback implements MqttCallback {

        @Override
        public void messageArrived(String topic, MqttMessage message) {
            Map<String, String> properties = new HashMap<>();
            if (message.getProperties() != null) {
                message.getProperties()
                        .getUserProperties()
                        .forEach(p -> properties.put(p.getKey(), p.getValue()));
            }
            int connectionNumber = connections.get();
            // Without its payload it came by a connection that is gone, and counts as lost with it.
            connection
                    .payloads()
                    .take(message.getPayload())
                    .map(
                            payload ->
                                    new Delivery(
                                            topic,
                                            payload,
                                            properties,
                                            () -> acknowledge(message, connectionNumber)))
                    .ifPresent(listener);
        }

        private void acknowledge(MqttMessage message, int connectionNumber) {
            // A message id means nothing to a connection other than its own.
            if (message.getQos() == 0 || connections.get() != connectionNumber) {
                return;
            }
            try {
                client.messageArrivedComplete(message.getId(), message.getQos());
            } catch (MqttException ignored) {
                // The connection is gone; whoever sent it sends it again.
            }
        }

        @Override
        public void disconnected(MqttDisconnectResponse response) {
            // The keeper sees it.
        }

        @Override
        public void mqttErrorOccurred(MqttException e) {
            // A broken connection follows, and the keeper sees that.
        }

        @Override
        public void deliveryComplete(IMqttToken token) {
            // Publishers wait for their tokens.
        }

        @Override
        public void connectComplete(boolean reconnect, String uri) {
            // Whoever connects subscribes.
        }

        @Override
        public void authPacketArrived(int reasonCode, MqttProperties properties) {
            // Enhanced authentication is not used.
        }
    }
}
