// SPDX-License-Identifier: Apache-2.0

package io.tributary.sources.mqtt.sink;

import io.tributary.protocol.mqtt.MqttLink;
import io.tributary.protocol.mqtt.Publication;
import java.util.Iterator;
import java.util.Optional;
import org.apache.flink.api.connector.sink2.SinkWriter;
import org.apache.flink.api.connector.sink2.WriterInitContext;
import org.apache.flink.metrics.Counter;
import org.apache.flink.metrics.groups.SinkWriterMetricGroup;

/** Sends what it is given and, after a reconnection, what is retained once more. */
final class MqttSinkWriter<T> implements SinkWriter<T> {

    private final MqttLink link;
    private final MqttEncoder<T> encoder;
    private final boolean retained;
    private final Counter sent;
    private final Counter bytesSent;
    private Optional<T> newest = Optional.empty();
    private int connections;

    MqttSinkWriter(
            MqttLink link, MqttEncoder<T> encoder, boolean retained, WriterInitContext context) {
        this.link = link;
        this.encoder = encoder;
        this.retained = retained;
        SinkWriterMetricGroup metrics = context.metricGroup();
        this.sent = metrics.getNumRecordsSendCounter();
        this.bytesSent = metrics.getNumBytesSendCounter();
        this.connections = link.connections();
    }

    @Override
    public void write(T value, Context context) {
        send(value);
        if (retained) {
            newest = Optional.of(value);
        }
        sent.inc();
    }

    /** Called at each checkpoint, which is how soon a broker that came back is served. */
    @Override
    public void flush(boolean endOfInput) {
        int now = link.connections();
        if (now != connections) {
            connections = now;
            newest.ifPresent(this::send);
        }
    }

    private void send(T value) {
        link.publish(counted(encoder.encode(value)));
    }

    private Iterable<Publication> counted(Iterable<Publication> publications) {
        Iterator<Publication> all = publications.iterator();
        return () ->
                new Iterator<>() {
                    @Override
                    public boolean hasNext() {
                        return all.hasNext();
                    }

                    @Override
                    public Publication next() {
                        Publication next = all.next();
                        bytesSent.inc(next.payload().length);
                        return next;
                    }
                };
    }

    @Override
    public void close() {
        link.close();
    }
}
