// SPDX-License-Identifier: Apache-2.0

package io.tributary.node;

import io.tributary.protocol.message.Names;
import java.io.IOException;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

/** Processes of this host that answer calls, by the name of their endpoint. Thread-safe. */
final class EndpointRegistry {

    /** Calls and answers are small. */
    static final int MAX_BYTES = 1 << 16;

    private static final long LOOK_MILLIS = 1000;

    private final Map<String, Endpoint> all = new ConcurrentHashMap<>();

    /** Who answers, by its connection; one call at a time. */
    private static final class Endpoint {

        private final int user;
        private final NodeChannel channel;
        private final CountDownLatch gone = new CountDownLatch(1);

        Endpoint(int user, NodeChannel channel) {
            this.user = user;
            this.channel = channel;
        }

        /** Whether its process has gone, which nobody else would notice before the next call. */
        synchronized boolean ended() throws IOException {
            return channel.ended();
        }

        synchronized byte[] call(byte[] bytes) throws IOException {
            channel.send(new Called(bytes));
            return channel.receiveSoon(NodeAnswer.class).as(byte[].class);
        }
    }

    /** A call, as who answers it gets it. */
    record Called(byte[] bytes) {}

    /**
     * Has calls answered by a connection until it ends. Who comes again under its name takes the
     * place of its former self.
     *
     * @throws NodeRejectedException when another user's process answers there
     */
    void serve(int user, String endpoint, NodeChannel channel) throws IOException {
        Names.check("endpoint", endpoint);
        Endpoint mine = new Endpoint(user, channel);
        Endpoint before =
                all.compute(
                        endpoint,
                        (name, old) -> {
                            if (old != null && old.user != user) {
                                return old;
                            }
                            Optional.ofNullable(old).ifPresent(former -> former.gone.countDown());
                            return mine;
                        });
        if (before != mine) {
            throw new NodeRejectedException(
                    "endpoint %s belongs to user %d".formatted(endpoint, before.user));
        }
        channel.send(NodeAnswer.of(endpoint));
        try {
            while (!mine.gone.await(LOOK_MILLIS, TimeUnit.MILLISECONDS) && !mine.ended()) {
                // It answers calls meanwhile.
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        } finally {
            all.remove(endpoint, mine);
        }
    }

    /**
     * Calls an endpoint.
     *
     * @throws NodeRejectedException when nobody answers there, or the answer is a rejection
     */
    byte[] call(String endpoint, byte[] bytes) throws IOException {
        if (bytes.length > MAX_BYTES) {
            throw new NodeRejectedException(
                    "expected a call of at most %d bytes, got %d"
                            .formatted(MAX_BYTES, bytes.length));
        }
        Endpoint called = all.get(endpoint);
        if (called == null) {
            throw new NodeRejectedException(
                    "endpoint %s: nobody answers there".formatted(endpoint));
        }
        try {
            return called.call(bytes);
        } catch (NodeRejectedException e) {
            throw e;
        } catch (IOException e) {
            all.remove(endpoint, called);
            called.channel.close();
            called.gone.countDown();
            throw new NodeRejectedException(
                    "endpoint %s went away: %s".formatted(endpoint, e.getMessage()));
        }
    }
}
