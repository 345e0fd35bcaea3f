// SPDX-License-Identifier: Apache-2.0

package io.tributary.job.graph;

import io.tributary.operators.coordinator.CoordinatorOutputs;
import io.tributary.operators.model.ModelPublisher;
import io.tributary.operators.model.PublishedModel;
import io.tributary.protocol.message.Arrival;
import io.tributary.protocol.message.Receipt;
import io.tributary.protocol.message.RoundId;
import io.tributary.protocol.message.RoundPlan;
import io.tributary.protocol.message.Topics;
import io.tributary.protocol.mqtt.BrokerOptions;
import io.tributary.protocol.mqtt.Publication;
import io.tributary.sources.mqtt.sink.ModelMessages;
import io.tributary.sources.mqtt.sink.MqttCommittedSink;
import io.tributary.sources.mqtt.sink.MqttEncoder;
import io.tributary.sources.mqtt.sink.MqttSink;
import io.tributary.sources.mqtt.source.MqttControlSource;
import io.tributary.sources.mqtt.source.MqttUpdateSource;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.connector.sink2.Sink;
import org.apache.flink.core.execution.CheckpointingMode;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;

/**
 * The job between MQTT and MQTT. Checkpointing must be on: receipts that promise something leave
 * when a checkpoint completes.
 *
 * @param graph what lies between sources and sinks
 * @param broker the broker
 * @param staging where updates are staged
 */
public record MqttJob(
        AggregationGraph graph, BrokerOptions broker, MqttUpdateSource.Staging staging) {

    /** Largest number of parallel subtasks; never changes, or no state could be restored. */
    public static final int MAX_PARALLELISM = 128;

    /** Adds the job to {@code env}. */
    public void build(StreamExecutionEnvironment env) throws IOException {
        env.setMaxParallelism(MAX_PARALLELISM);
        // What waits in a network buffer makes a round longer; claims are few and small.
        env.setBufferTimeout(1);
        // A region is released when the checkpoint completes whose barrier came after its fold;
        // that is right only while barriers do not overtake records.
        env.getCheckpointConfig().enableUnalignedCheckpoints(false);
        env.getCheckpointConfig().setCheckpointingConsistencyMode(CheckpointingMode.EXACTLY_ONCE);
        String job = graph.job();
        Topics topics = new Topics(job);
        AggregationGraph.Outputs outputs = graph.build(arrivals(env));
        sink(
                outputs.status(),
                "status",
                status -> List.of(Publication.json(topics.status(), status, true)),
                true);
        sink(
                outputs.deadLetters(),
                "dead letters",
                letter -> List.of(Publication.json(topics.deadLetter(), letter, false)),
                false);
        // Plans and models, like receipts, are never taken back: they wait for their checkpoint.
        committed(
                outputs.plans(),
                "plans",
                RoundPlan.class,
                plan -> List.of(Publication.json(topics.round(), plan, true)),
                plan -> true,
                true);
        committed(
                initialModel(env).union(outputs.models()),
                "models",
                PublishedModel.class,
                model -> ModelMessages.of(model.description(), model.path()),
                model -> true,
                true);
        committed(
                outputs.receipts(),
                "receipts",
                Receipt.class,
                receipt ->
                        List.of(
                                Publication.json(
                                        topics.receipt(receipt.trainer()), receipt, false)),
                receipt -> receipt.status().durable(),
                false);
    }

    private DataStream<Arrival> arrivals(StreamExecutionEnvironment env) {
        var model = graph.model();
        DataStream<Arrival> updates =
                env.fromSource(
                                new MqttUpdateSource(graph.job(), broker, model::layout, staging),
                                WatermarkStrategy.noWatermarks(),
                                "updates (mqtt)",
                                CoordinatorOutputs.ARRIVAL)
                        .uid("source-updates");
        DataStream<Arrival> control =
                env.fromSource(
                                new MqttControlSource(graph.job(), broker),
                                WatermarkStrategy.noWatermarks(),
                                "control (mqtt)",
                                CoordinatorOutputs.ARRIVAL)
                        .uid("source-control")
                        .setParallelism(1);
        return updates.union(control);
    }

    private DataStream<PublishedModel> initialModel(StreamExecutionEnvironment env)
            throws IOException {
        Path file = Path.of(graph.model().path()).toAbsolutePath();
        PublishedModel initial =
                new PublishedModel(
                        ModelPublisher.describe(graph.job(), new RoundId(0, 0), file, 0),
                        file.toString());
        return env.fromData(List.of(initial), AggregationGraph.MODEL)
                .name("initial model")
                .uid("source-initial-model")
                .setParallelism(1);
    }

    private <T> void sink(
            DataStream<T> stream, String name, MqttEncoder<T> encoder, boolean retained) {
        sinkTo(stream, name, new MqttSink<>(clientId(name), broker, encoder, retained));
    }

    private <T> void committed(
            DataStream<T> stream,
            String name,
            Class<T> type,
            MqttEncoder<T> encoder,
            MqttCommittedSink.When<T> durable,
            boolean retained) {
        sinkTo(
                stream,
                name,
                new MqttCommittedSink<>(clientId(name), broker, type, encoder, durable, retained));
    }

    private String clientId(String name) {
        return graph.job() + "-" + name.replace(' ', '-');
    }

    private static <T> void sinkTo(DataStream<T> stream, String name, Sink<T> sink) {
        stream.sinkTo(sink)
                .name("sink: " + name + " (mqtt)")
                .uid("sink-" + name.replace(' ', '-'))
                .setParallelism(1)
                // A broker's answer should not hold the operator before up.
                .disableChaining();
    }
}
