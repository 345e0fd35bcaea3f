// SPDX-License-Identifier: Apache-2.0

package io.tributary.job.graph;

import io.tributary.operators.aggregate.SubtaskAffinity;
import io.tributary.operators.coordinator.CoordinatorOutputs;
import io.tributary.operators.coordinator.InboundEvent;
import io.tributary.operators.coordinator.OutboundReceipt;
import io.tributary.operators.coordinator.RegionReleases;
import io.tributary.operators.model.ModelPublisher;
import io.tributary.operators.model.ModelShard;
import io.tributary.operators.model.PublishedModel;
import io.tributary.operators.types.StreamType;
import io.tributary.protocol.message.Evaluation;
import io.tributary.protocol.message.Receipt;
import io.tributary.protocol.message.RoundId;
import io.tributary.protocol.message.RoundLedger;
import io.tributary.protocol.message.Topics;
import io.tributary.protocol.message.TrainerEvent;
import io.tributary.sources.base.sink.CheckpointedSink;
import java.io.IOException;
import java.io.Serializable;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.api.connector.sink2.Sink;
import org.apache.flink.api.connector.source.Source;
import org.apache.flink.core.execution.CheckpointingMode;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.datastream.DataStreamSink;
import org.apache.flink.streaming.api.datastream.DataStreamSource;
import org.apache.flink.streaming.api.datastream.SingleOutputStreamOperator;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.sink.v2.DiscardingSink;
import org.apache.flink.util.Collector;

/**
 * A job with its transports. What trainers say by any of them meets in the coordinator. Plans,
 * models and states go out by all of them, an answer by the one by which its trainer speaks.
 * Checkpointing must be on: what promises something leaves when a checkpoint completes.
 *
 * @param graph the operators between sources and sinks
 * @param transports what sources and sinks there are: at least one, one of each scheme, all with
 *     the same region directory
 * @param publish when models leave
 */
public record FederationJob(
        AggregationGraph graph, List<JobTransport> transports, Publish publish) {

    public FederationJob {
        transports = List.copyOf(transports);
        require(!transports.isEmpty(), "a job has at least one transport");
        require(
                transports.stream().map(JobTransport::scheme).distinct().count()
                        == transports.size(),
                "a job has at most one transport of each scheme");
        require(
                transports.stream().map(JobTransport::regions).distinct().count() == 1,
                "the transports of a job have one region directory");
    }

    private static void require(boolean ok, String what) {
        if (!ok) {
            throw new IllegalArgumentException(what);
        }
    }

    private static final String UPDATES = "updates";

    /** What the uid of each transport's source of updates begins with; its scheme follows. */
    public static final String UPDATES_UID = "source-%s-".formatted(UPDATES);

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
                .uid(graph.uid("shard-probe"))
                .sinkTo(new DiscardingSink<>())
                .uid(graph.uid("shard-probe-end"));
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
        JobTransport first = transports.get(0);
        AggregationGraph.Outputs outputs =
                graph.build(events(env), first.regions(), Optional.of(first.partials(graph.job())));
        DataStream<PublishedModel> models = initialModel(env).union(outputs.models());
        for (JobTransport transport : transports) {
            sinks(transport, outputs, models, env.getParallelism());
        }
        sink(
                outputs.releases(),
                "releases",
                new CheckpointedSink<>(
                        RegionReleases.class,
                        ReleaseEgress.of(first.regions()),
                        RegionReleases::checkpointed,
                        false));
        sink(
                outputs.ledgers(),
                "ledgers",
                new CheckpointedSink<>(
                        RoundLedger.class,
                        LedgerEgress.releases(graph.models()),
                        ledger -> true,
                        false));
        sink(
                outputs.evaluations(),
                "evaluations",
                new CheckpointedSink<>(
                        Evaluation.class,
                        LedgerEgress.evaluations(graph.models()),
                        evaluation -> true,
                        false));
        return outputs;
    }

    /** One that the job has whatever its transports. */
    private <T> void sink(DataStream<T> values, String what, Sink<T> sink) {
        values.sinkTo(sink)
                .name(graph.name("sink: " + what))
                .uid(graph.uid("sink-" + what))
                .setParallelism(1)
                .setMaxParallelism(1)
                .disableChaining();
    }

    private void sinks(
            JobTransport transport,
            AggregationGraph.Outputs outputs,
            DataStream<PublishedModel> models,
            int parallelism) {
        String job = graph.job();
        Sinks sinks =
                transport.onEachHost()
                        ? new Sinks(graph, transport, parallelism, SubtaskAffinity.KEY_GROUPS)
                        : new Sinks(graph, transport, 1, 1);
        sinks.add(transport.plans(job, outputs.plans(), publish), "plans");
        sinks.add(transport.models(graph, models, publish), "models");
        sinks.add(
                transport.receipts(graph, receipts(transport.scheme(), outputs.receipts())),
                "receipts");
        sinks.add(transport.status(job, outputs.status()), "status");
        sinks.add(transport.deadLetters(job, outputs.deadLetters()), "dead letters");
    }

    private DataStream<Receipt> receipts(String scheme, DataStream<OutboundReceipt> receipts) {
        return receipts.flatMap(
                        (OutboundReceipt answer, Collector<Receipt> out) -> {
                            // State of a version with one transport does not name it.
                            if (answer.transport().isEmpty() || answer.transport().equals(scheme)) {
                                out.collect(answer.receipt());
                            }
                        })
                .returns(StreamType.json(Receipt.class))
                .name(graph.name("receipts (%s)".formatted(scheme)))
                .uid(graph.uid("receipts-" + scheme))
                .setParallelism(1)
                .setMaxParallelism(1);
    }

    /**
     * Names the sinks of a transport.
     *
     * @param parallelism of each
     * @param maxParallelism to which Flink may raise it
     */
    private record Sinks(
            AggregationGraph graph, JobTransport transport, int parallelism, int maxParallelism) {

        void add(DataStreamSink<?> sink, String what) {
            sink.name(graph.name("sink: %s (%s)".formatted(what, transport.scheme())))
                    .uid(
                            graph.uid(
                                    "sink-%s-%s"
                                            .formatted(what.replace(' ', '-'), transport.scheme())))
                    .setParallelism(parallelism)
                    .setMaxParallelism(maxParallelism)
                    // An answer from outside should not hold the operator before up.
                    .disableChaining();
        }
    }

    private DataStream<InboundEvent> events(StreamExecutionEnvironment env) {
        List<DataStream<InboundEvent>> all = new ArrayList<>();
        for (JobTransport transport : transports) {
            all.addAll(events(env, transport));
        }
        DataStream<InboundEvent> united = all.get(0);
        for (DataStream<InboundEvent> more : all.subList(1, all.size())) {
            united = united.union(more);
        }
        return united;
    }

    private List<DataStream<InboundEvent>> events(
            StreamExecutionEnvironment env, JobTransport transport) {
        // A reader without a lane would never hear that the job has ended.
        int maxReaders = transport.onEachHost() ? SubtaskAffinity.KEY_GROUPS : Topics.LANES;
        List<DataStream<InboundEvent>> all = new ArrayList<>();
        all.add(
                source(
                        env,
                        transport,
                        UPDATES,
                        transport.updates(
                                graph.job(),
                                graph.run(),
                                graph.model(),
                                graph.rules().folding().timing()),
                        Math.min(env.getParallelism(), maxReaders),
                        maxReaders));
        transport
                .control(graph.job(), graph.run())
                .ifPresent(control -> all.add(source(env, transport, "control", control, 1, 1)));
        return all;
    }

    private DataStream<InboundEvent> source(
            StreamExecutionEnvironment env,
            JobTransport transport,
            String what,
            Source<TrainerEvent, ?, ?> source,
            int parallelism,
            int maxParallelism) {
        String scheme = transport.scheme();
        String name = graph.name("%s (%s)".formatted(what, scheme));
        DataStreamSource<TrainerEvent> stream =
                env.fromSource(
                        source, WatermarkStrategy.noWatermarks(), name, CoordinatorOutputs.EVENT);
        stream.uid(graph.uid("source-%s-%s".formatted(what, scheme)))
                .setParallelism(parallelism)
                .setMaxParallelism(maxParallelism);
        SingleOutputStreamOperator<InboundEvent> inbound =
                stream.map(event -> new InboundEvent(scheme, event))
                        .returns(CoordinatorOutputs.INBOUND)
                        .name(name)
                        .uid(graph.uid("inbound-%s-%s".formatted(what, scheme)))
                        .setParallelism(parallelism)
                        .setMaxParallelism(maxParallelism);
        if (what.equals(UPDATES)) {
            AggregationGraph.coLocationGroup(transport.regions())
                    .ifPresent(
                            group -> {
                                stream.getTransformation().setCoLocationGroupKey(group);
                                inbound.getTransformation().setCoLocationGroupKey(group);
                            });
        }
        return inbound;
    }

    private DataStream<PublishedModel> initialModel(StreamExecutionEnvironment env)
            throws IOException {
        Path file = graph.model().file().toAbsolutePath();
        PublishedModel initial =
                new PublishedModel(
                        ModelPublisher.describe(
                                graph.job(), graph.run().id(), new RoundId(0, 0), file),
                        graph.model().path(),
                        graph.model().sets());
        return env.fromData(List.of(initial), AggregationGraph.MODEL)
                .name(graph.name("initial model"))
                .uid(graph.uid("source-initial-model"))
                .setParallelism(1)
                .setMaxParallelism(1);
    }
}
