// SPDX-License-Identifier: Apache-2.0

package io.tributary.job.graph;

import io.tributary.operators.model.PublishedModel;
import io.tributary.protocol.message.DeadLetter;
import io.tributary.protocol.message.Receipt;
import io.tributary.protocol.message.RoundPlan;
import io.tributary.protocol.message.RoundStatus;
import io.tributary.protocol.message.Run;
import io.tributary.sources.base.sink.CheckpointedSink;
import io.tributary.sources.base.sink.Egress;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.datastream.DataStreamSink;

/** A transport without transactions of its own: what waits for a checkpoint, waits in Flink. */
interface EgressTransport extends JobTransport {

    private <T> DataStream<T> spread(DataStream<T> values) {
        return onEachHost() ? values.broadcast() : values;
    }

    /** What trainers are to do. */
    Egress.Factory<RoundPlan> plans(String job);

    /** Global models. */
    Egress.Factory<PublishedModel> models(String job, Run run);

    /** Answers to trainers. */
    Egress.Factory<Receipt> receipts(String job);

    /** How the round stands. */
    Egress.Factory<RoundStatus> status(String job);

    /** What was rejected. */
    Egress.Factory<DeadLetter> deadLetters(String job);

    @Override
    default DataStreamSink<?> plans(String job, DataStream<RoundPlan> plans, Publish publish) {
        boolean committed = publish == Publish.COMMITTED;
        return spread(plans)
                .sinkTo(
                        new CheckpointedSink<>(
                                RoundPlan.class,
                                plans(job),
                                // An end cannot be taken back by a restore.
                                plan -> committed || plan.state() == RoundPlan.State.ENDED,
                                true));
    }

    @Override
    default DataStreamSink<?> models(
            AggregationGraph graph, DataStream<PublishedModel> models, Publish publish) {
        boolean committed = publish == Publish.COMMITTED;
        return spread(models)
                .sinkTo(
                        new CheckpointedSink<>(
                                PublishedModel.class,
                                models(graph.job(), graph.run()),
                                model -> committed,
                                true));
    }

    @Override
    default DataStreamSink<?> receipts(AggregationGraph graph, DataStream<Receipt> receipts) {
        return spread(receipts)
                .sinkTo(
                        new CheckpointedSink<>(
                                Receipt.class,
                                receipts(graph.job()),
                                Receipt::leavesWithCheckpoint,
                                false));
    }

    @Override
    default DataStreamSink<?> status(String job, DataStream<RoundStatus> status) {
        return spread(status)
                .sinkTo(new CheckpointedSink<>(RoundStatus.class, status(job), s -> false, true));
    }

    @Override
    default DataStreamSink<?> deadLetters(String job, DataStream<DeadLetter> letters) {
        return spread(letters)
                .sinkTo(
                        new CheckpointedSink<>(
                                DeadLetter.class, deadLetters(job), letter -> false, false));
    }
}
