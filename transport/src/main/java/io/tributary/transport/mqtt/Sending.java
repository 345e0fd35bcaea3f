// SPDX-License-Identifier: Apache-2.0

package io.tributary.transport.mqtt;

import java.util.ArrayDeque;
import java.util.Deque;
import java.util.Iterator;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import org.eclipse.paho.mqttv5.client.IMqttToken;
import org.eclipse.paho.mqttv5.client.MqttActionListener;
import org.eclipse.paho.mqttv5.client.MqttAsyncClient;
import org.eclipse.paho.mqttv5.common.MqttException;
import org.eclipse.paho.mqttv5.common.MqttMessage;
import org.eclipse.paho.mqttv5.common.packet.MqttProperties;
import org.eclipse.paho.mqttv5.common.packet.UserProperty;

/**
 * Messages that are sent in order, several of them under way at a time. What was not acknowledged
 * when a connection broke is sent again by the next one. Not thread-safe.
 */
final class Sending {

    /** More would not be faster, and takes a client's memory. */
    private static final int MAX_UNDER_WAY = 64;

    private static final long MAX_BYTES_UNDER_WAY = 8 << 20;

    /** Paho's own codes, for a wait that was too long, and where there is no connection. */
    static final int CLIENT_TIMEOUT = 32_000;

    private static final int CLIENT_NOT_CONNECTED = 32_104;
    private static final long LOOK_MILLIS = 50;

    private final BrokerOptions broker;
    private final Iterator<Publication> rest;
    private final Deque<Publication> unacknowledged = new ArrayDeque<>();
    private long acknowledged;
    private long bytesUnderWay;

    Sending(BrokerOptions broker, Iterator<Publication> all) {
        this.broker = broker;
        this.rest = all;
    }

    /** How many have been acknowledged. */
    long acknowledged() {
        return acknowledged;
    }

    /**
     * Sends what has not been acknowledged.
     *
     * @param window the messages that the broker lets all senders of this connection have under way
     * @throws MqttException when it has to be begun again
     * @throws BrokerRejectedException when that is vain
     */
    void run(MqttAsyncClient client, Semaphore window) throws MqttException {
        Deque<IMqttToken> tokens = new ArrayDeque<>();
        for (Publication again : unacknowledged) {
            tokens.add(send(client, window, again));
        }
        while (rest.hasNext()) {
            while (tokens.size() >= MAX_UNDER_WAY || bytesUnderWay >= MAX_BYTES_UNDER_WAY) {
                acknowledge(tokens);
            }
            Publication next = rest.next();
            unacknowledged.add(next);
            bytesUnderWay += next.payload().length;
            tokens.add(send(client, window, next));
        }
        while (!tokens.isEmpty()) {
            acknowledge(tokens);
        }
    }

    private void acknowledge(Deque<IMqttToken> tokens) throws MqttException {
        IMqttToken oldest = tokens.remove();
        oldest.waitForCompletion(MqttLink.ACK_TIMEOUT_MILLIS);
        BrokerRejectedException.check(
                broker, "publish to", unacknowledged.peek().topic(), oldest.getReasonCodes());
        bytesUnderWay -= unacknowledged.remove().payload().length;
        acknowledged++;
    }

    private static IMqttToken send(MqttAsyncClient client, Semaphore window, Publication message)
            throws MqttException {
        await(client, window);
        boolean sent = false;
        try {
            MqttProperties properties = new MqttProperties();
            properties.setUserProperties(
                    message.properties().entrySet().stream()
                            .map(p -> new UserProperty(p.getKey(), p.getValue()))
                            .toList());
            IMqttToken token =
                    client.publish(
                            message.topic(),
                            new MqttMessage(
                                    message.payload(),
                                    MqttLink.QOS,
                                    message.retained(),
                                    properties),
                            null,
                            new Release(window));
            sent = true;
            return token;
        } finally {
            if (!sent) {
                window.release();
            }
        }
    }

    /** Waits for a place, as long as there is a connection that can give one. */
    private static void await(MqttAsyncClient client, Semaphore window) throws MqttException {
        long end = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(MqttLink.ACK_TIMEOUT_MILLIS);
        try {
            while (!window.tryAcquire(LOOK_MILLIS, TimeUnit.MILLISECONDS)) {
                if (!client.isConnected()) {
                    throw new MqttException(CLIENT_NOT_CONNECTED);
                }
                if (System.nanoTime() > end) {
                    throw new MqttException(CLIENT_TIMEOUT);
                }
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException("interrupted while waiting for the broker", e);
        }
    }

    /** Gives a message's place to the next one, whatever has become of it. */
    private record Release(Semaphore window) implements MqttActionListener {

        @Override
        public void onSuccess(IMqttToken token) {
            window.release();
        }

        @Override
        public void onFailure(IMqttToken token, Throwable e) {
            window.release();
        }
    }
}
