// SPDX-License-Identifier: Apache-2.0

package io.tributary.sources.mqtt.sink;

import io.tributary.protocol.Json;
import io.tributary.protocol.mqtt.BrokerOptions;
import io.tributary.protocol.mqtt.MqttLink;
import java.io.IOException;
import java.io.Serializable;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Optional;
import java.util.function.Predicate;
import org.apache.flink.api.connector.sink2.Committer;
import org.apache.flink.api.connector.sink2.CommitterInitContext;
import org.apache.flink.api.connector.sink2.CommittingSinkWriter;
import org.apache.flink.api.connector.sink2.Sink;
import org.apache.flink.api.connector.sink2.StatefulSinkWriter;
import org.apache.flink.api.connector.sink2.SupportsCommitter;
import org.apache.flink.api.connector.sink2.SupportsWriterState;
import org.apache.flink.api.connector.sink2.WriterInitContext;
import org.apache.flink.core.io.SimpleVersionedSerializer;

/**
 * Sends values when the checkpoint that holds them has completed, so that nobody ever hears of what
 * a restore undoes. At least once.
 *
 * @param <T> the values' type, written as JSON into checkpoints
 */
public final class MqttCommittedSink<T>
        implements Sink<T>, SupportsCommitter<T>, SupportsWriterState<T, T> {

    private static final long serialVersionUID = 1L;

    private final String name;
    private final BrokerOptions broker;
    private final Class<T> type;
    private final MqttEncoder<T> encoder;
    private final When<T> durable;
    private final boolean retained;

    /**
     * Which values wait for a checkpoint.
     *
     * @param <T> the values' type
     */
    @FunctionalInterface
    public interface When<T> extends Predicate<T>, Serializable {}

    /**
     * @param name part of the client ids
     * @param durable which values wait for a checkpoint; the others leave at once
     * @param retained whether the newest value is a state, which is sent again after a restore and
     *     when the broker, which may have lost it, comes back
     */
    public MqttCommittedSink(
            String name,
            BrokerOptions broker,
            Class<T> type,
            MqttEncoder<T> encoder,
            When<T> durable,
            boolean retained) {
        this.name = name;
        this.broker = broker;
        this.type = type;
        this.encoder = encoder;
        this.durable = durable;
        this.retained = retained;
    }

    @Override
    public Writer createWriter(WriterInitContext context) {
        return restoreWriter(context, List.of());
    }

    @Override
    public Writer restoreWriter(WriterInitContext context, Collection<T> newest) {
        return new Writer(MqttSink.connect(broker, name), newest.stream().findAny());
    }

    @Override
    public Committer<T> createCommitter(CommitterInitContext context) {
        return new MqttCommitter();
    }

    @Override
    public SimpleVersionedSerializer<T> getCommittableSerializer() {
        return new Serializer<>(type);
    }

    @Override
    public SimpleVersionedSerializer<T> getWriterStateSerializer() {
        return new Serializer<>(type);
    }

    private final class Writer implements CommittingSinkWriter<T, T>, StatefulSinkWriter<T, T> {

        private final MqttLink link;
        private List<T> waiting;
        private Optional<T> newest;
        private int connections;

        Writer(MqttLink link, Optional<T> newest) {
            this.link = link;
            this.newest = newest;
            this.waiting = new ArrayList<>(newest.stream().toList());
            this.connections = link.connections();
        }

        @Override
        public void write(T value, Context context) {
            if (!durable.test(value)) {
                link.publish(encoder.encode(value));
                return;
            }
            waiting.add(value);
            if (retained) {
                newest = Optional.of(value);
            }
        }

        /** Called at each checkpoint, which is how soon a broker that came back is served. */
        @Override
        public Collection<T> prepareCommit() {
            int now = link.connections();
            if (now != connections && waiting.isEmpty()) {
                waiting.addAll(newest.stream().toList());
            }
            connections = now;
            List<T> prepared = waiting;
            waiting = new ArrayList<>();
            return prepared;
        }

        @Override
        public List<T> snapshotState(long checkpoint) {
            return newest.stream().toList();
        }

        @Override
        public void flush(boolean endOfInput) {
            // What waits goes by prepareCommit, the rest has been sent.
        }

        @Override
        public void close() {
            link.close();
        }
    }

    private final class MqttCommitter implements Committer<T> {

        private final MqttLink link = MqttSink.connect(broker, name + "-committer");

        @Override
        public void commit(Collection<CommitRequest<T>> requests) {
            for (CommitRequest<T> request : requests) {
                link.publish(encoder.encode(request.getCommittable()));
            }
        }

        @Override
        public void close() {
            link.close();
        }
    }

    private record Serializer<T>(Class<T> type) implements SimpleVersionedSerializer<T> {

        @Override
        public int getVersion() {
            return 1;
        }

        @Override
        public byte[] serialize(T value) {
            return Json.encode(value);
        }

        @Override
        public T deserialize(int version, byte[] bytes) throws IOException {
            return Json.decode(bytes, type);
        }
    }
}
