// SPDX-License-Identifier: Apache-2.0

package io.tributary.job.trainer;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

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
import io.tributary.testbed.process.ChildProcess;
import io.tributary.testbed.process.EmbeddedBroker;
import io.tributary.testbed.process.KafkaProcess;
import io.tributary.trainer.ModelEvaluator;
import io.tributary.trainer.TrainerClient;
import io.tributary.trainer.TrainerTransport;
import io.tributary.transport.mqtt.BrokerOptions;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import org.apache.flink.configuration.Configuration;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Trainers in Java, Python and Flower say over each transport what models are worth. */
@Timeout(300)
class AskedTrainersITCase {

    private static final long QUOTA = 1 << 28;
    private static final int NO_AGENT = 1;
    private static final int ROUNDS = 3;

    @TempDir Path temp;

    @BeforeEach
    void prepare() {
        PythonTrainers.assumeThere();
    }

    private static RoundRules rules(int trainers) {
        return new RoundRules(
                ROUNDS,
                new RoundRules.Quorum(trainers, trainers),
                new RoundRules.Patience(Duration.ZERO, Duration.ZERO, Duration.ofHours(1)),
                new RoundRules.Folding(
                        RoundRules.Timing.EAGER, UpdateKind.WEIGHTS, Algorithm.FEDAVG, true),
                Map.of(),
                RoundRules.Limits.DEFAULT,
                Map.of(),
                "",
                // Nobody's silence can make the test green.
                new RoundRules.Evaluation(1, 1, Duration.ofHours(1)),
                RoundRules.Goal.NONE);
    }

    @Test
    void whatTheyFindOutIsInTheLedgerOfEachModel() throws Exception {
        TestJob job = new TestJob("asked", temp, NO_AGENT);
        List<ChildProcess> processes = new ArrayList<>();
        List<CompletableFuture<Void>> inJava = new ArrayList<>();
        double weight = 0;
        double who = 0;
        try (EmbeddedBroker broker = EmbeddedBroker.start();
                KafkaProcess kafka = KafkaProcess.start(temp.resolve("kafka"))) {
            List<JobTransport> transports =
                    List.of(
                            new MqttTransport(BrokerOptions.of(broker.url()), job.staging(QUOTA)),
                            new KafkaTransport(kafka.options(), job.staging(QUOTA), false),
                            new ShmTransport(
                                    new PayloadStore.Place(job.regions().toString()),
                                    QUOTA,
                                    NO_AGENT));
            try (LocalFlink flink =
                    job.start(
                            rules(3 * transports.size()),
                            transports,
                            new Configuration(),
                            Run.draw())) {
                for (JobTransport transport : transports) {
                    String uri = transport.uri();
                    List<String> ids =
                            List.of("java", "python", "flower").stream()
                                    .map(kind -> kind + "-" + transport.scheme())
                                    .toList();
                    inJava.add(train(job, ids.get(0), uri));
                    processes.add(PythonTrainers.start(job, temp, ids.get(1), ROUNDS, uri, "{}"));
                    processes.add(PythonTrainers.startFlower(job, temp, ids.get(2), ROUNDS, uri));
                    for (int kind = 0; kind < ids.size(); kind++) {
                        weight += TestJob.samples(ids.get(kind));
                        who += kind * TestJob.samples(ids.get(kind));
                    }
                }
                for (CompletableFuture<Void> trainer : inJava) {
                    trainer.get();
                }
                for (ChildProcess process : processes) {
                    assertThat(process.await(TestJob.PATIENCE.toSeconds())).isTrue();
                    assertThat(process.exitCode()).as(process.logTail()).contains(0);
                }
                flink.awaitFinished();
            }
        } finally {
            processes.forEach(ChildProcess::close);
        }
        for (int round = 1; round <= ROUNDS; round++) {
            JsonNode metrics = evaluation(job, round).path("metrics");
            assertThat(metrics.path("who").asDouble()).isCloseTo(who / weight, within(1e-9));
            assertThat(metrics.path("first").asDouble())
                    .as("that is the model of round %d", round)
                    .isCloseTo(first(job.model(round)), within(1e-6));
        }
        assertThat(job.regions().resolve("asked/evaluations")).isEmptyDirectory();
    }

    private static CompletableFuture<Void> train(TestJob job, String id, String uri) {
        ModelEvaluator evaluator =
                round ->
                        new ModelEvaluator.Result(
                                TestJob.samples(id),
                                Map.of(
                                        "first",
                                        (double) round.floats("layer.weight").get(0),
                                        "who",
                                        0.0));
        return CompletableFuture.runAsync(
                () -> {
                    try (TrainerClient client =
                            job.builder(id, TrainerTransport.of(uri))
                                    .evaluator(evaluator)
                                    .connect()) {
                        client.join();
                        TestJob.train(client);
                    }
                },
                task -> new Thread(task, id).start());
    }

    private static JsonNode evaluation(TestJob job, int round) throws Exception {
        Path ledger = PosixModelStore.at(job.work().resolve(job.name())).ledger(round);
        return Json.tree(Files.readAllBytes(ledger)).path("evaluation");
    }

    private static double first(Path model) {
        try (TensorFile file = TensorFile.open(model)) {
            return SmallModel.values(file, "layer.weight")[0];
        }
    }
}
