// SPDX-License-Identifier: Apache-2.0

package io.tributary.sources.mqtt.sink;

import io.tributary.sources.base.sink.Egress;
import io.tributary.transport.mqtt.BrokerOptions;
import io.tributary.transport.mqtt.BrokerRejectedException;
import io.tributary.transport.mqtt.MqttLink;
import io.tributary.transport.mqtt.Publication;
import java.util.Iterator;
import java.util.Optional;
import java.util.UUID;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.flink.runtime.execution.SuppressRestartsException;

/**
 * Publishes what an encoder says, in order, on a thread of its own: the sender does not wait for
 * the broker's acknowledgements, of which many are under way, but for {@link #flush}. A broker that
 * was away may have lost what it retained.
 *
 * @param <T> the values' type
 */
public final class MqttEgress<T> implements Egress<T> {

    /** Values that may wait for the broker before the sender waits too. */
    private static final int MAX_WAITING = 1024;

    private static final long LOOK_MILLIS = 100;
    private static final long END_MILLIS = 1_000;

    private final MqttLink link;
    private final MqttEncoder<T> encoder;
    private final BlockingQueue<T> waiting = new ArrayBlockingQueue<>(MAX_WAITING);
    private final AtomicLong bytes = new AtomicLong();
    private final Thread sender;
    private final Object progress = new Object();
    private volatile boolean closing;
    private long given;
    private long sent;
    private Optional<RuntimeException> failure = Optional.empty();

    private MqttEgress(MqttLink link, MqttEncoder<T> encoder, String name) {
        this.link = link;
        this.encoder = encoder;
        this.sender = new Thread(this::sendAll, "mqtt-egress-" + name);
        sender.setDaemon(true);
        sender.start();
    }

    /**
     * Opens egresses to a broker.
     *
     * @param name part of the client ids
     */
    public static <T> Egress.Factory<T> factory(
            String name, BrokerOptions broker, MqttEncoder<T> encoder) {
        return purpose -> {
            String unique = "%s-%s-%s".formatted(name, purpose, UUID.randomUUID());
            return new MqttEgress<>(connect(broker, unique), encoder, unique);
        };
    }

    private static MqttLink connect(BrokerOptions broker, String name) {
        try {
            return MqttLink.connect(
                    broker,
                    new MqttLink.Settings("tributary-" + name, 1, Optional.empty()),
                    message -> message.done().run());
        } catch (BrokerRejectedException e) {
            throw stopping(e);
        }
    }

    /** A restart would not help, and the operator must see it. */
    private static RuntimeException stopping(BrokerRejectedException e) {
        return new SuppressRestartsException(e);
    }

    private void sendAll() {
        try {
            while (true) {
                Batch batch = new Batch(waiting.take());
                link.publish(() -> batch);
                synchronized (progress) {
                    sent += batch.values;
                    progress.notifyAll();
                }
            }
        } catch (InterruptedException e) {
            // Closed.
        } catch (BrokerRejectedException e) {
            fail(stopping(e));
        } catch (RuntimeException e) {
            fail(e);
        } catch (Error e) {
            fail(new IllegalStateException("nothing is sent any more: " + e, e));
            throw e;
        }
    }

    private void fail(RuntimeException e) {
        synchronized (progress) {
            failure = Optional.of(e);
            progress.notifyAll();
        }
    }

    /** The messages of a value, and of those that have come when they are sent. */
    private final class Batch implements Iterator<Publication> {

        private Iterator<Publication> messages;
        private int values = 1;

        Batch(T first) {
            messages = encode(first);
        }

        private Iterator<Publication> encode(T value) {
            return encoder.encode(value, link.chunkBytes()).iterator();
        }

        @Override
        public boolean hasNext() {
            while (!messages.hasNext() && !closing) {
                T next = waiting.poll();
                if (next == null) {
                    return false;
                }
                messages = encode(next);
                values++;
            }
            return !closing;
        }

        @Override
        public Publication next() {
            Publication next = messages.next();
            bytes.addAndGet(next.payload().length);
            return next;
        }
    }

    @Override
    public long send(T value) {
        try {
            do {
                check();
            } while (!waiting.offer(value, LOOK_MILLIS, TimeUnit.MILLISECONDS));
        } catch (InterruptedException e) {
            throw interrupted(e);
        }
        given++;
        return bytes.getAndSet(0);
    }

    @Override
    public long flush() {
        synchronized (progress) {
            try {
                while (sent < given) {
                    check();
                    progress.wait();
                }
            } catch (InterruptedException e) {
                throw interrupted(e);
            }
            check();
        }
        return bytes.getAndSet(0);
    }

    private void check() {
        synchronized (progress) {
            if (failure.isPresent()) {
                throw failure.get();
            }
        }
    }

    private static IllegalStateException interrupted(InterruptedException e) {
        Thread.currentThread().interrupt();
        return new IllegalStateException("interrupted while waiting for the broker", e);
    }

    @Override
    public int connections() {
        return link.connections();
    }

    @Override
    public void close() {
        closing = true;
        link.close();
        sender.interrupt();
        try {
            sender.join(END_MILLIS);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }
}
