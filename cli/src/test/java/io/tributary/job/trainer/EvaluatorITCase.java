// SPDX-License-Identifier: Apache-2.0

package io.tributary.job.trainer;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;
import static org.awaitility.Awaitility.await;

import com.fasterxml.jackson.databind.JsonNode;
import io.tributary.cli.testutils.PythonTrainers;
import io.tributary.cli.testutils.TestJob;
import io.tributary.job.graph.JobTransport;
import io.tributary.job.graph.KafkaTransport;
import io.tributary.job.graph.LocalFlink;
import io.tributary.job.graph.MqttTransport;
import io.tributary.job.graph.ShmTransport;
import io.tributary.job.testutils.SmallModel;
import io.tributary.memory.region.TensorFile;
import io.tributary.node.PayloadStore;
import io.tributary.operators.coordinator.RoundRules;
import io.tributary.operators.model.PosixModelStore;
import io.tributary.operators.optimizer.Algorithm;
import io.tributary.protocol.Json;
import io.tributary.protocol.message.Run;
import io.tributary.protocol.message.UpdateKind;
import io.tributary.protocol.tensor.TensorInfo;
import io.tributary.testbed.process.ChildProcess;
import io.tributary.testbed.process.EmbeddedBroker;
import io.tributary.testbed.process.KafkaProcess;
import io.tributary.trainer.TrainerClient;
import io.tributary.trainer.TrainerTransport;
import io.tributary.trainer.TrainingRound;
import io.tributary.transport.mqtt.BrokerOptions;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.apache.flink.configuration.Configuration;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** An evaluator and a follower in Python, processes of their own, over each transport. */
@Timeout(300)
class EvaluatorITCase {

    private static final long QUOTA = 1 << 28;
    private static final int NO_AGENT = 1;
    private static final int MOST_ROUNDS = 1000;
    private static final int ENOUGH = 3;

    @TempDir Path temp;

    @BeforeEach
    void prepare() {
        PythonTrainers.assumeThere();
    }

    @ParameterizedTest
    @ValueSource(strings = {"mqtt", "kafka", "shm"})
    void whatItFindsOutIsInStatusAndLedgersAndEndsTheRounds(String scheme) throws Exception {
        TestJob job = new TestJob("judged", temp, NO_AGENT);
        try (EmbeddedBroker broker = EmbeddedBroker.start();
                AutoCloseable kafka =
                        scheme.equals("kafka")
                                ? KafkaProcess.start(temp.resolve("kafka"))
                                : () -> {}) {
            JobTransport transport =
                    switch (scheme) {
                        case "mqtt" ->
                                new MqttTransport(
                                        BrokerOptions.of(broker.url()), job.staging(QUOTA));
                        case "kafka" ->
                                new KafkaTransport(
                                        ((KafkaProcess) kafka).options(),
                                        job.staging(QUOTA),
                                        false);
                        default ->
                                new ShmTransport(
                                        new PayloadStore.Place(job.regions().toString()),
                                        QUOTA,
                                        NO_AGENT);
                    };
            run(job, transport);
        }
    }

    private void run(TestJob job, JobTransport transport) throws Exception {
        String uri = transport.uri();
        try (LocalFlink flink = job.start(rules(), transport, new Configuration(), Run.draw());
                ChildProcess follower =
                        PythonTrainers.run(temp, "follower", List.of(uri, job.name()));
                ChildProcess evaluator =
                        PythonTrainers.run(
                                temp, "evaluator", List.of(uri, job.name(), "judge", "" + ENOUGH));
                TrainerClient trainer = job.client("t", TrainerTransport.of(uri))) {
            await("the follower")
                    .atMost(TestJob.PATIENCE)
                    .until(() -> follower.logTail().contains("following"));
            trainer.join();
            int rounds = train(trainer);
            trainer.close();
            flink.awaitFinished();
            assertThat(rounds).isBetween(ENOUGH, MOST_ROUNDS - 1);
            for (ChildProcess process : List.of(follower, evaluator)) {
                assertThat(process.await(TestJob.PATIENCE.toSeconds())).isTrue();
                assertThat(process.exitCode()).as(process.logTail()).contains(0);
            }
            // The last model is evaluated too, for the job waits for it.
            assertThat(evaluation(job, rounds).path("metrics").path("round").asInt())
                    .isEqualTo(rounds);
            assertThat(evaluation(job, rounds).path("metrics").path("sum").asDouble())
                    .isCloseTo(sum(job.model(rounds)), within(1e-6));
            assertThat(evaluation(job, rounds).path("stop").asText()).isEqualTo("that is enough");
            String said = Files.readString(follower.log());
            assertThat(said)
                    .contains("\"state\": \"CLOSED\", \"updates\": 1, \"metrics\": {\"loss\": 0.5}")
                    .contains("{\"model\": %d}".formatted(rounds))
                    .contains("\"evaluated\": %d}".formatted(rounds));
        }
    }

    private static RoundRules rules() {
        return new RoundRules(
                MOST_ROUNDS,
                new RoundRules.Quorum(1, 1),
                new RoundRules.Patience(Duration.ZERO, Duration.ZERO, Duration.ofMinutes(1)),
                new RoundRules.Folding(
                        RoundRules.Timing.EAGER, UpdateKind.WEIGHTS, Algorithm.FEDAVG, true),
                Map.of(),
                RoundRules.Limits.DEFAULT,
                Map.of(),
                "judge",
                RoundRules.Evaluation.NONE,
                RoundRules.Goal.NONE);
    }

    /** Trains until it is told that there are no more rounds. */
    private static int train(TrainerClient client) {
        int rounds = 0;
        Optional<TrainingRound> round = client.awaitRound(TestJob.PATIENCE);
        while (round.isPresent()) {
            client.send(TestJob.update(round.get(), client.id()).metric("loss", 0.5));
            rounds++;
            round = client.awaitRound(TestJob.PATIENCE);
        }
        return rounds;
    }

    private static JsonNode evaluation(TestJob job, int round) throws Exception {
        Path ledger = PosixModelStore.at(job.work().resolve(job.name())).ledger(round);
        return Json.tree(Files.readAllBytes(ledger)).path("evaluation");
    }

    private static double sum(Path model) {
        double sum = 0;
        try (TensorFile file = TensorFile.open(model)) {
            for (TensorInfo tensor : file.header().tensors()) {
                for (double value : SmallModel.values(file, tensor.name())) {
                    sum += value;
                }
            }
        }
        return sum;
    }
}
