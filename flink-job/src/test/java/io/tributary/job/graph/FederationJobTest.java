// SPDX-License-Identifier: Apache-2.0

package io.tributary.job.graph;

import static org.assertj.core.api.Assertions.assertThat;

import io.tributary.job.JobEntrypoint;
import io.tributary.job.config.JobSpec;
import io.tributary.job.testutils.SmallModel;
import io.tributary.operators.aggregate.SubtaskAffinity;
import io.tributary.protocol.message.Topics;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.graph.StreamGraph;
import org.apache.flink.streaming.api.graph.StreamNode;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class FederationJobTest {

    private static final int PARALLELISM = 20;

    @TempDir Path temp;

    private StreamExecutionEnvironment built(byte[] topology) throws Exception {
        SmallModel.write(temp.resolve("model-0.safetensors"), 0);
        Files.write(temp.resolve("schema.json"), topology);
        JobSpec spec =
                JobSpec.parse(
                        "job.yaml",
                        """
                        job.name: wide
                        topology: schema.json
                        parallelism: %d
                        rounds:
                          count: 1
                          minimum-trainers: 1
                        model:
                          initial: model-0.safetensors
                          directory: models
                        transports: ["mqtt://localhost:1", "kafka://localhost:1", "shm"]
                        checkpoints:
                          interval: 1 s
                          directory: checkpoints
                        """
                                .formatted(PARALLELISM),
                        temp);
        StreamExecutionEnvironment env =
                StreamExecutionEnvironment.getExecutionEnvironment(
                        JobEntrypoint.configuration(spec));
        spec.build(env);
        return env;
    }

    /** Flink finds a job's state by the ids of its operators, and rejects a job with one twice. */
    @Test
    void noTwoOperatorsOfSeveralModelsHaveOneId() throws Exception {
        StreamExecutionEnvironment env =
                built(
                        """
                        {"roles":[
                          {"name":"trainer","isDataConsumer":true,
                           "groupAssociation":[{"low":"us"},{"low":"eu"}]},
                          {"name":"top","groupAssociation":[{"low":"us"},{"low":"eu"}]}],
                         "channels":[{"name":"low","pair":["trainer","top"],
                           "groupBy":{"value":["us","eu"]}}]}
                        """
                                .getBytes());
        StreamGraph graph = env.getStreamGraph();
        assertThat(graph.getStreamNodes())
                .extracting(StreamNode::getTransformationUID)
                .doesNotContainNull()
                .doesNotHaveDuplicates();
        assertThat(graph.getJobGraph().getVertices()).isNotEmpty();
    }

    /**
     * Flink may give each operator as many subtasks as its maximum, and does so in reactive mode.
     */
    @Test
    void whatIsAloneStaysAloneHoweverManySlotsThereAre() throws Exception {
        StreamExecutionEnvironment env = built(TreeSchemas.json(4, List.of("us/west", "eu"), 2));

        Map<Integer, List<StreamNode>> nodes =
                env.getStreamGraph().getStreamNodes().stream()
                        .collect(Collectors.groupingBy(StreamNode::getParallelism));

        assertThat(nodes).containsOnlyKeys(1, Topics.LANES, PARALLELISM);
        assertThat(nodes.get(1)).allMatch(node -> node.getMaxParallelism() == 1);
        assertThat(nodes.get(Topics.LANES))
                .allMatch(node -> node.getMaxParallelism() == Topics.LANES);
        assertThat(nodes.get(PARALLELISM))
                .allMatch(node -> node.getMaxParallelism() == SubtaskAffinity.KEY_GROUPS)
                .extracting(StreamNode::getOperatorName)
                .anyMatch(name -> name.equals("leaf"))
                .anyMatch(name -> name.equals("top"));
    }
}
