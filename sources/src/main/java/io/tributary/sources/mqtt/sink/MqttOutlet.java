// SPDX-License-Identifier: Apache-2.0

package io.tributary.sources.mqtt.sink;

import io.tributary.protocol.mqtt.BrokerOptions;
import io.tributary.protocol.mqtt.MqttLink;
import io.tributary.protocol.mqtt.Publication;
import io.tributary.shm.flow.Outlet;
import java.util.Iterator;
import java.util.Optional;
import java.util.UUID;

/**
 * Publishes what an encoder says; a broker that was away may have lost what it retained.
 *
 * @param <T> the values' type
 */
public final class MqttOutlet<T> implements Outlet<T> {

    private final MqttLink link;
    private final MqttEncoder<T> encoder;

    private MqttOutlet(MqttLink link, MqttEncoder<T> encoder) {
        this.link = link;
        this.encoder = encoder;
    }

    /**
     * Opens outlets to a broker.
     *
     * @param name part of the client ids
     */
    public static <T> Outlet.Factory<T> factory(
            String name, BrokerOptions broker, MqttEncoder<T> encoder) {
        return purpose ->
                new MqttOutlet<>(
                        MqttLink.connect(
                                broker,
                                new MqttLink.Settings(
                                        "tributary-%s-%s-%s"
                                                .formatted(name, purpose, UUID.randomUUID()),
                                        1,
                                        Optional.empty()),
                                message -> message.done().run()),
                        encoder);
    }

    @Override
    public long send(T value) {
        Iterator<Publication> all = encoder.encode(value).iterator();
        long[] bytes = new long[1];
        link.publish(
                () ->
                        new Iterator<>() {
                            @Override
                            public boolean hasNext() {
                                return all.hasNext();
                            }

                            @Override
                            public Publication next() {
                                Publication next = all.next();
                                bytes[0] += next.payload().length;
                                return next;
                            }
                        });
        return bytes[0];
    }

    @Override
    public int connections() {
        return link.connections();
    }

    @Override
    public void close() {
        link.close();
    }
}
