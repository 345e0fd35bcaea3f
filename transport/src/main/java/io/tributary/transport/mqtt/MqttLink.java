// SPDX-License-Identifier: Apache-2.0

package io.tributary.transport.mqtt;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CopyOnWriteArraySet;
import java.util.concurrent.Semaphore;
import java.util.concurrent.atomic.AtomicInteger;
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
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A connection to a broker that outlives the broker: it connects again with a growing pause,
 * subscribes again, and {@link #publish} waits for it. All messages have QoS 1; nothing depends on
 * the broker's sessions. Thread-safe.
 */
public final class MqttLink implements AutoCloseable {

    static final int QOS = 1;

    private static final Logger LOG = LoggerFactory.getLogger(MqttLink.class);
    private static final long FIRST_PAUSE_MILLIS = 100;
    private static final long LONGEST_PAUSE_MILLIS = 5_000;
    static final long ACK_TIMEOUT_MILLIS = 10_000;

    private final BrokerOptions broker;
    private final MqttAsyncClient client;
    private final Settings settings;
    private final PayloadModules.Options connection;
    private final Consumer<Delivery> listener;
    private final CopyOnWriteArraySet<String> filters = new CopyOnWriteArraySet<>();
    private final AtomicInteger connections = new AtomicInteger();
    private final Thread keeper;
    private volatile BrokerLimits limits = BrokerLimits.NONE;
    private volatile Semaphore window = new Semaphore(0);
    private volatile Optional<ReasonCode> parting = Optional.empty();
    private volatile Optional<MqttException> broken = Optional.empty();
    private volatile Optional<BrokerRejectedException> rejection = Optional.empty();
    private volatile boolean closed;

    /** When the broker has said something the last time. */
    private volatile long heardNanos = System.nanoTime();

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
        this.settings = settings;
        this.connection = Connecting.options(broker, settings);
        this.client =
                new MqttAsyncClient(
                        PayloadModules.PREFIX + broker.serverUri(),
                        settings.clientId(),
                        new MemoryPersistence());
        client.setManualAcks(true);
        client.setCallback(new Callback());
        this.keeper = new Thread(this::keepConnected, "mqtt-" + settings.clientId());
        keeper.setDaemon(true);
    }

    /**
     * Connects, trying again with a growing pause.
     *
     * @param listener called on the link's own thread; blocking it stops the reading
     * @throws BrokerRejectedException at once when the broker does not let it in, or lacks what is
     *     needed
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

    /** How long chunks may be, so that the broker takes them; 1 KiB to 1 MiB. */
    public int chunkBytes() {
        return limits.chunkBytes();
    }

    /**
     * Does nothing while there is hope.
     *
     * @throws BrokerRejectedException when the broker has turned this link away for longer than its
     *     patience
     */
    public void check() {
        if (rejection.isPresent()) {
            throw rejection.get();
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
            check();
            int connection = connections.get();
            try {
                attempt.run();
                parting = Optional.empty();
                broken = Optional.empty();
                return;
            } catch (MqttException e) {
                breakSilent(e, connection);
                if (progress.getAsLong() > before) {
                    before = progress.getAsLong();
                    end = System.nanoTime() + broker.patience().toNanos();
                    pause = FIRST_PAUSE_MILLIS;
                }
                if (closed || System.nanoTime() + pause * 1_000_000 > end) {
                    throw unavailable(e);
                }
                sleep(pause);
                pause = Math.min(2 * pause, LONGEST_PAUSE_MILLIS);
            }
        }
    }

    /** A host that died has closed no connection; a broker that is slow says something at times. */
    private void breakSilent(MqttException e, int connection) {
        boolean silent = System.nanoTime() - heardNanos >= ACK_TIMEOUT_MILLIS * 1_000_000;
        if (e.getReasonCode() == Sending.CLIENT_TIMEOUT
                && silent
                && connections.get() == connection) {
            LOG.info("{}: the broker says nothing; connecting again", broker);
            try {
                client.disconnectForcibly(0, 0, false);
            } catch (MqttException ignored) {
                // It is gone already.
            }
        }
    }

    /** What the broker has said tells more than that it has said nothing since. */
    private BrokerUnavailableException unavailable(MqttException last) {
        Optional<ReasonCode> why = ReasonCode.of(last).or(() -> parting);
        return why.isPresent()
                ? BrokerUnavailableException.rejecting(broker, why.get(), last)
                : new BrokerUnavailableException(broker, broken.orElse(last));
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
        // Nobody sends before it is known how much the broker takes.
        window = new Semaphore(0, true);
        limits = Connecting.connect(client, connection, broker);
        heardNanos = System.nanoTime();
        window.release(limits.receiveMaximum());
        // Counted before subscribing, because retained messages come with the subscription.
        connections.incrementAndGet();
        try {
            for (String filter : filters) {
                await(client.subscribe(filter, QOS), "subscribe to", filter);
            }
        } catch (MqttException | BrokerRejectedException e) {
            // Connected but deaf is worse than not connected, which is tried again.
            client.disconnectForcibly(0, 0, false);
            throw e;
        }
    }

    private void keepConnected() {
        long pause = FIRST_PAUSE_MILLIS;
        Optional<Long> rejectedSince = Optional.empty();
        while (!closed) {
            try {
                if (client.isConnected()) {
                    pause = FIRST_PAUSE_MILLIS;
                } else {
                    connectOnce();
                }
                rejectedSince = Optional.empty();
            } catch (BrokerRejectedException e) {
                // A password is changed at one of two places first.
                long now = System.nanoTime();
                rejectedSince = rejectedSince.or(() -> Optional.of(now));
                if (now - rejectedSince.get() > broker.patience().toNanos()) {
                    reject(e);
                    return;
                }
                pause = Math.min(2 * pause, LONGEST_PAUSE_MILLIS);
            } catch (MqttException | RuntimeException e) {
                LOG.info("{}: not connected: {}", broker, e.getMessage());
                pause = Math.min(2 * pause, LONGEST_PAUSE_MILLIS);
            }
            try {
                Thread.sleep(pause);
            } catch (InterruptedException e) {
                return;
            }
        }
    }

    private void reject(BrokerRejectedException e) {
        LOG.warn("{}: {}", settings.clientId(), e.getMessage());
        rejection = Optional.of(e);
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
     * @throws BrokerRejectedException at once when the broker says no for good
     * @throws BrokerUnavailableException when the broker stays away longer than its patience
     */
    public void publish(Iterable<Publication> publications) {
        // No lock: a heartbeat goes out while a large update is being sent.
        Sending sending = new Sending(broker, publications.iterator());
        awaitConnection(() -> sending.run(client, window), sending::acknowledged);
    }

    private void await(IMqttToken asked, String action, String topic) throws MqttException {
        asked.waitForCompletion(ACK_TIMEOUT_MILLIS);
        BrokerRejectedException.check(broker, action, topic, asked.getReasonCodes());
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
            heardNanos = System.nanoTime();
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
                // The connection is gone; the sender sends it again.
            }
        }

        @Override
        public void disconnected(MqttDisconnectResponse response) {
            // The keeper sees that the connection is gone; a caller that waits too long is told
            // why.
            parting = ReasonCode.of(response.getReturnCode());
            broken =
                    Optional.ofNullable(response.getException())
                            .filter(BrokerUnavailableException::isUnknownCode)
                            .or(() -> broken);
        }

        @Override
        public void mqttErrorOccurred(MqttException e) {
            // A broken connection follows, and the keeper sees that.
        }

        @Override
        public void deliveryComplete(IMqttToken token) {
            // Publishers wait for their tokens.
            heardNanos = System.nanoTime();
        }

        @Override
        public void connectComplete(boolean reconnect, String uri) {
            // The thread that connects subscribes.
        }

        @Override
        public void authPacketArrived(int reasonCode, MqttProperties properties) {
            // Enhanced authentication is not used.
        }
    }
}
