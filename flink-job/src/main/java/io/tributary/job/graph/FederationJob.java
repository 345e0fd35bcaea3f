// SPDX-License-Identifier: Apache-2.0

package io.tributary.job.graph;

import io.tributary.operators.aggregate.SubtaskAffinity;
import io.tributary.operators.coordinator.CoordinatorOutputs;
import io.tributary.operators.model.ModelPublisher;
import io.tributary.operators.model.ModelShard;
import io.tributary.operators.model.PublishedModel;
import io.tributary.protocol.message.RoundId;
import io.tributary.protocol.message.RoundLedger;
import io.tributary.protocol.message.Topics;
import io.tributary.protocol.message.TrainerEvent;
import io.tributary.sources.base.sink.CheckpointedSink;
import java.io.IOException;
import java.io.Serializable;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.api.connector.source.Source;
import org.apache.flink.core.execution.CheckpointingMode;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.datastream.DataStreamSink;
import org.apache.flink.streaming.api.datastream.DataStreamSource;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.sink.v2.DiscardingSink;

/**
 * A job with its transport. Checkpointing must be on: what promises something leaves when a
 * checkpoint completes.
 *
 * @param graph what lies between sources and sinks
 * @param transport what sources and sinks there are
 * @param publish when models leave
 */
public record FederationJob(AggregationGraph graph, Transport transport, Publish publish) {

    /** Adds the job to {@code env}. */
    public void build(StreamExecutionEnvironment env) throws IOException {
        add(env);
    }

    /** The same, with something that looks at the shards as they leave the top. */
    public void build(StreamExecutionEnvironment env, ShardProbe probe) throws IOException {
        add(env).shards()
                .map(
                        shard -> {
                            probe.look(shard);
                            return 0;
                        })
                .returns(Types.INT)
                .uid("shard-probe")
                .sinkTo(new DiscardingSink<>())
                .uid("shard-probe-end");
    }

    /** Looks at shards, on task managers. */
    @FunctionalInterface
    public interface ShardProbe extends Serializable {
        /** A shard has left the top. */
        void look(ModelShard shard);
    }

    private AggregationGraph.Outputs add(StreamExecutionEnvironment env) throws IOException {
        env.setMaxParallelism(SubtaskAffinity.KEY_GROUPS);
        // What waits in a network buffer makes a round longer; claims are few and small.
        env.setBufferTimeout(0);
        // A region is released when the checkpoint completes whose barrier came after its fold;
        // that is right only while barriers do not overtake records.
        env.getCheckpointConfig().enableUnalignedCheckpoints(false);
        env.getCheckpointConfig().setCheckpointingConsistencyMode(CheckpointingMode.EXACTLY_ONCE);
        String job = graph.job();
        AggregationGraph.Outputs outputs =
                graph.build(events(env), transport.regions(), Optional.of(transport.partials(job)));
        int egresses = transport.onEachHost() ? env.getParallelism() : 1;
        sink(transport.plans(job, outputs.plans(), publish), "plans", egresses);
        sink(
                transport.models(
                        job, graph.run(), initialModel(env).union(outputs.models()), publish),
                "models",
                egresses);
        sink(transport.receipts(job, outputs.receipts()), "receipts", egresses);
        sink(transport.status(job, outputs.status()), "status", egresses);
        sink(transport.deadLetters(job, outputs.deadLetters()), "dead letters", egresses);
        sink(
                outputs.ledgers()
                        .sinkTo(
                                new CheckpointedSink<>(
                                        RoundLedger.class,
                                        LedgerEgress.beside(graph.models()),
                                        ledger -> true,
                                        false)),
                "ledgers",
                1);
        return outputs;
    }

    private DataStream<TrainerEvent> events(StreamExecutionEnvironment env) {
        DataStreamSource<TrainerEvent> updates =
                source(
                        env,
                        "updates",
                        transport.updates(
                                graph.job(), graph.run(), graph.model(), graph.rules().timing()));
        AggregationGraph.coLocationGroup(transport.regions())
                .ifPresent(updates.getTransformation()::setCoLocationGroupKey);
        Optional<Source<TrainerEvent, ?, ?>> control = transport.control(graph.job(), graph.run());
        return control.isEmpty()
                ? updates
                : updates.union(source(env, "control", control.get()).setParallelism(1));
    }

    private DataStreamSource<TrainerEvent> source(
            StreamExecutionEnvironment env, String what, Source<TrainerEvent, ?, ?> source) {
        DataStreamSource<TrainerEvent> stream =
                env.fromSource(
                        source,
                        WatermarkStrategy.noWatermarks(),
                        "%s (%s)".formatted(what, transport.name()),
                        CoordinatorOutputs.EVENT);
        stream.uid("source-" + what);
        // A reader without a lane would never hear that the job has ended.
        stream.setParallelism(
                transport.onEachHost()
                        ? env.getParallelism()
                        : Math.min(env.getParallelism(), Topics.LANES));
        return stream;
    }

    private DataStream<PublishedModel> initialModel(StreamExecutionEnvironment env)
            throws IOException {
        Path file = Path.of(graph.model().path()).toAbsolutePath();
        PublishedModel initial =
                new PublishedModel(
                        ModelPublisher.describe(
                                graph.job(), graph.run().id(), new RoundId(0, 0), file, 0, ""),
                        file.toString());
        return env.fromData(List.of(initial), AggregationGraph.MODEL)
                .name("initial model")
                .uid("source-initial-model")
                .setParallelism(1);
    }

    private void sink(DataStreamSink<?> sink, String what, int parallelism) {
        sink.name("sink: %s (%s)".formatted(what, transport.name()))
                .uid("sink-" + what.replace(' ', '-'))
                .setParallelism(parallelism)
                // An answer from outside should not hold the operator before up.
                .disableChaining();
    }
}
