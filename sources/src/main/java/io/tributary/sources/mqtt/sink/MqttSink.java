// SPDX-License-Identifier: Apache-2.0

package io.tributary.sources.mqtt.sink;

import io.tributary.protocol.mqtt.BrokerOptions;
import io.tributary.protocol.mqtt.MqttLink;
import java.util.Optional;
import java.util.UUID;
import org.apache.flink.api.connector.sink2.Sink;
import org.apache.flink.api.connector.sink2.SinkWriter;
import org.apache.flink.api.connector.sink2.WriterInitContext;

/**
 * Sends each value at once, at least once. What is retained is sent again when the broker comes
 * back, because it may have lost it.
 *
 * @param <T> the values' type
 */
public final class MqttSink<T> implements Sink<T> {

    private static final long serialVersionUID = 1L;

    private final String name;
    private final BrokerOptions broker;
    private final MqttEncoder<T> encoder;
    private final boolean retained;

    /**
     * @param name part of the client id
     * @param retained whether the newest value is a state rather than an event
     */
    public MqttSink(String name, BrokerOptions broker, MqttEncoder<T> encoder, boolean retained) {
        this.name = name;
        this.broker = broker;
        this.encoder = encoder;
        this.retained = retained;
    }

    @Override
    public SinkWriter<T> createWriter(WriterInitContext context) {
        return new MqttSinkWriter<>(connect(broker, name), encoder, retained, context);
    }

    /** A link that only sends. */
    static MqttLink connect(BrokerOptions broker, String name) {
        return MqttLink.connect(
                broker,
                new MqttLink.Settings(
                        "tributary-" + name + "-" + UUID.randomUUID(), 1, Optional.empty()),
                message -> message.done().run());
    }
}
