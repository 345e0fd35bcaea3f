// SPDX-License-Identifier: Apache-2.0

package io.tributary.sources.kafka;

import java.io.IOException;
import java.io.Serializable;
import java.util.Collection;
import java.util.List;
import org.apache.flink.api.connector.sink2.Committer;
import org.apache.flink.api.connector.sink2.CommitterInitContext;
import org.apache.flink.api.connector.sink2.CommittingSinkWriter;
import org.apache.flink.api.connector.sink2.Sink;
import org.apache.flink.api.connector.sink2.StatefulSinkWriter;
import org.apache.flink.api.connector.sink2.SupportsCommitter;
import org.apache.flink.api.connector.sink2.SupportsWriterState;
import org.apache.flink.api.connector.sink2.WriterInitContext;
import org.apache.flink.connector.kafka.sink.KafkaCommittable;
import org.apache.flink.connector.kafka.sink.KafkaSink;
import org.apache.flink.connector.kafka.sink.KafkaWriterState;
import org.apache.flink.connector.kafka.sink.TwoPhaseCommittingStatefulSink;
import org.apache.flink.connector.kafka.sink.TwoPhaseCommittingStatefulSink.PrecommittingStatefulSinkWriter;
import org.apache.flink.core.io.SimpleVersionedSerializer;
import org.apache.flink.streaming.api.connector.sink2.CommittableMessage;
import org.apache.flink.streaming.api.connector.sink2.SupportsPostCommitTopology;
import org.apache.flink.streaming.api.datastream.DataStream;

/**
 * A sink of Flink's connector, but what Kafka rejects for good ends the job ({@link Rejection}),
 * and does not restart it for ever.
 *
 * @param <T> the values' type
 */
final class StoppingSink<T>
        implements Sink<T>,
                SupportsWriterState<T, KafkaWriterState>,
                SupportsCommitter<KafkaCommittable>,
                SupportsPostCommitTopology<KafkaCommittable> {

    private static final long serialVersionUID = 1L;

    private final Preparation preparation;
    private final Maker<T> maker;

    /** What a writer needs before it is made. */
    @FunctionalInterface
    interface Preparation extends Serializable {
        void run();
    }

    /**
     * Makes the connector's sink.
     *
     * @param <T> the values' type
     */
    @FunctionalInterface
    interface Maker<T> extends Serializable {

        /**
         * @param known with the properties of Kafka's clients. They may be secrets, so they are
         *     known on task managers alone, and are no part of the job's graph
         */
        KafkaSink<T> make(boolean known);
    }

    StoppingSink(Preparation preparation, Maker<T> maker) {
        this.preparation = preparation;
        this.maker = maker;
    }

    private TwoPhaseCommittingStatefulSink<T, KafkaWriterState, KafkaCommittable> writers() {
        return maker.make(true);
    }

    @Override
    public Writer createWriter(WriterInitContext context) throws IOException {
        return Rejection.watch(
                () -> {
                    preparation.run();
                    return new Writer(writers().createWriter(context));
                });
    }

    @Override
    public Writer restoreWriter(WriterInitContext context, Collection<KafkaWriterState> state)
            throws IOException {
        return Rejection.watch(
                () -> {
                    preparation.run();
                    return new Writer(writers().restoreWriter(context, state));
                });
    }

    @Override
    public Committer<KafkaCommittable> createCommitter(CommitterInitContext context) {
        return new StoppingCommitter(maker.make(true).createCommitter(context));
    }

    @Override
    public SimpleVersionedSerializer<KafkaWriterState> getWriterStateSerializer() {
        return maker.make(false).getWriterStateSerializer();
    }

    @Override
    public SimpleVersionedSerializer<KafkaCommittable> getCommittableSerializer() {
        return maker.make(false).getCommittableSerializer();
    }

    @Override
    public void addPostCommitTopology(
            DataStream<CommittableMessage<KafkaCommittable>> committables) {
        maker.make(false).addPostCommitTopology(committables);
    }

    /** Writes by the connector's. */
    private final class Writer
            implements StatefulSinkWriter<T, KafkaWriterState>,
                    CommittingSinkWriter<T, KafkaCommittable> {

        private final PrecommittingStatefulSinkWriter<T, KafkaWriterState, KafkaCommittable> writer;

        Writer(PrecommittingStatefulSinkWriter<T, KafkaWriterState, KafkaCommittable> writer) {
            this.writer = writer;
        }

        @Override
        public void write(T value, Context context) throws IOException {
            Rejection.watch(
                    () -> {
                        writer.write(value, context);
                        return value;
                    });
        }

        @Override
        public void flush(boolean endOfInput) throws IOException {
            Rejection.watch(
                    () -> {
                        writer.flush(endOfInput);
                        return endOfInput;
                    });
        }

        @Override
        public Collection<KafkaCommittable> prepareCommit() throws IOException {
            return Rejection.watch(writer::prepareCommit);
        }

        @Override
        public List<KafkaWriterState> snapshotState(long checkpoint) throws IOException {
            return Rejection.watch(() -> writer.snapshotState(checkpoint));
        }

        @Override
        public void close() throws Exception {
            writer.close();
        }
    }

    private record StoppingCommitter(Committer<KafkaCommittable> committer)
            implements Committer<KafkaCommittable> {

        @Override
        public void commit(Collection<CommitRequest<KafkaCommittable>> requests)
                throws IOException {
            Rejection.watch(
                    () -> {
                        committer.commit(requests);
                        return requests;
                    });
        }

        @Override
        public void close() throws Exception {
            committer.close();
        }
    }
}
