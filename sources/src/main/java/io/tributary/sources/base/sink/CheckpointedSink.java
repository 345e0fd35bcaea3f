// SPDX-License-Identifier: Apache-2.0

package io.tributary.sources.base.sink;

import io.tributary.protocol.Json;
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
import org.apache.flink.metrics.Counter;

/**
 * Sends values through an egress, at least once: durable ones when the checkpoint that holds them
 * has completed, so that nobody ever hears of what a restore undoes, the others at once.
 *
 * @param <T> the values' type, written as JSON into checkpoints
 */
public final class CheckpointedSink<T>
        implements Sink<T>, SupportsCommitter<T>, SupportsWriterState<T, T> {

    private static final long serialVersionUID = 1L;

    private final Class<T> type;
    private final Egress.Factory<T> egresses;
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
     * @param retained whether the newest value is a state rather than an event; it is sent again
     *     after a restore, and when the other side may have lost it
     */
    public CheckpointedSink(
            Class<T> type, Egress.Factory<T> egresses, When<T> durable, boolean retained) {
        this.type = type;
        this.egresses = egresses;
        this.durable = durable;
        this.retained = retained;
    }

    @Override
    public Writer createWriter(WriterInitContext context) throws IOException {
        return restoreWriter(context, List.of());
    }

    @Override
    public Writer restoreWriter(WriterInitContext context, Collection<T> newest)
            throws IOException {
        return new Writer(egresses.open("writer"), newest.stream().findAny(), context);
    }

    @Override
    public Committer<T> createCommitter(CommitterInitContext context) throws IOException {
        return new EgressCommitter(egresses.open("committer"));
    }

    @Override
    public SimpleVersionedSerializer<T> getCommittableSerializer() {
        return new JsonValue<>(type);
    }

    @Override
    public SimpleVersionedSerializer<T> getWriterStateSerializer() {
        return new JsonValue<>(type);
    }

    /** Sends what is not durable, and hands on what is. */
    public final class Writer implements CommittingSinkWriter<T, T>, StatefulSinkWriter<T, T> {

        private final Egress<T> egress;
        private final Counter sent;
        private final Counter bytesSent;
        private List<T> waiting = new ArrayList<>();
        private Optional<T> newest;
        private int connections;

        private Writer(Egress<T> egress, Optional<T> newest, WriterInitContext context) {
            this.egress = egress;
            this.newest = newest;
            this.sent = context.metricGroup().getNumRecordsSendCounter();
            this.bytesSent = context.metricGroup().getNumBytesSendCounter();
            this.connections = egress.connections() - newest.map(restored -> 1).orElse(0);
        }

        @Override
        public void write(T value, Context context) throws IOException {
            if (retained) {
                newest = Optional.of(value);
            }
            leave(value);
            sent.inc();
        }

        private void leave(T value) throws IOException {
            if (durable.test(value)) {
                waiting.add(value);
            } else {
                bytesSent.inc(egress.send(value));
            }
        }

        /**
         * Called at each checkpoint, which is how soon an other side that came back is served, and
         * what somebody has removed is there again.
         */
        @Override
        public void flush(boolean endOfInput) throws IOException {
            int now = egress.connections();
            if (waiting.isEmpty()
                    && newest.isPresent()
                    && (now != connections || !egress.there(newest.get()))) {
                leave(newest.get());
            }
            connections = now;
            bytesSent.inc(egress.flush());
        }

        @Override
        public Collection<T> prepareCommit() {
            List<T> prepared = waiting;
            waiting = new ArrayList<>();
            return prepared;
        }

        @Override
        public List<T> snapshotState(long checkpoint) {
            return newest.stream().toList();
        }

        @Override
        public void close() {
            egress.close();
        }
    }

    private final class EgressCommitter implements Committer<T> {

        private final Egress<T> egress;

        EgressCommitter(Egress<T> egress) {
            this.egress = egress;
        }

        @Override
        public void commit(Collection<CommitRequest<T>> requests) throws IOException {
            for (CommitRequest<T> request : requests) {
                egress.send(request.getCommittable());
            }
            egress.flush();
        }

        @Override
        public void close() {
            egress.close();
        }
    }

    private record JsonValue<T>(Class<T> type) implements SimpleVersionedSerializer<T> {

        @Override
        public int getVersion() {
            return 1;
        }

        @Override
        public byte[] serialize(T value) {
            return Json.encode(value);
        }

        @Override
        public T deserialize(int version, byte[] bytes) {
            return Json.decode(bytes, type);
        }
    }
}
