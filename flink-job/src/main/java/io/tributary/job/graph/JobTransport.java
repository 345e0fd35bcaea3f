// SPDX-License-Identifier: Apache-2.0

package io.tributary.job.graph;

import io.tributary.memory.region.RegionPool;
import io.tributary.node.PayloadStore;
import io.tributary.operators.coordinator.RoundRules;
import io.tributary.operators.model.ModelSpec;
import io.tributary.operators.model.PublishedModel;
import io.tributary.protocol.message.DeadLetter;
import io.tributary.protocol.message.Receipt;
import io.tributary.protocol.message.RoundPlan;
import io.tributary.protocol.message.RoundStatus;
import io.tributary.protocol.message.Run;
import io.tributary.protocol.message.TrainerEvent;
import java.util.Optional;
import org.apache.flink.api.connector.source.Source;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.datastream.DataStreamSink;

/**
 * How a job hears from its trainers and speaks to them. A job may have several. The trainers' side
 * of the same transport is a {@code TrainerTransport}.
 */
public interface JobTransport {

    /** What its URIs begin with; part of operators' names and ids. */
    String scheme();

    /** Where trainers reach it, without what is secret. */
    String uri();

    /** Whether each host has trainers of its own, which hear of the job there. */
    default boolean onEachHost() {
        return false;
    }

    /** Where regions are. */
    PayloadStore.Place regions();

    /**
     * Where updates come in.
     *
     * @param timing when they are folded; what is acknowledged long before is read first
     */
    Source<TrainerEvent, ?, ?> updates(
            String job, Run run, ModelSpec model, RoundRules.Timing timing);

    /** Where trainers speak of themselves; empty where they do so beside their updates. */
    Optional<Source<TrainerEvent, ?, ?>> control(String job, Run run);

    /** Where partial sums are as long as there is room; the others pass through Flink's network. */
    RegionPool.Place partials(String job);

    /** What trainers are to do. */
    DataStreamSink<?> plans(String job, DataStream<RoundPlan> plans, Publish publish);

    /**
     * Global models.
     *
     * @param graph whose they are; it names operators that this adds
     */
    DataStreamSink<?> models(
            AggregationGraph graph, DataStream<PublishedModel> models, Publish publish);

    /**
     * Answers to trainers.
     *
     * @param graph whose they are; it names operators that this adds
     */
    DataStreamSink<?> receipts(AggregationGraph graph, DataStream<Receipt> receipts);

    /** How the round stands. */
    DataStreamSink<?> status(String job, DataStream<RoundStatus> status);

    /** What was rejected. */
    DataStreamSink<?> deadLetters(String job, DataStream<DeadLetter> letters);

    /** Shows what a job says of its rounds, until closed. */
    AutoCloseable follow(String job, JobListener listener);
}
