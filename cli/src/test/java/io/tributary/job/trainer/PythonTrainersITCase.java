// SPDX-License-Identifier: Apache-2.0

package io.tributary.job.trainer;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import io.tributary.cli.testutils.PythonTrainers;
import io.tributary.cli.testutils.TestJob;
import io.tributary.job.graph.JobTransport;
import io.tributary.job.graph.KafkaTransport;
import io.tributary.job.graph.LocalFlink;
import io.tributary.job.graph.MqttTransport;
import io.tributary.job.graph.ShmTransport;
import io.tributary.node.PayloadStore;
import io.tributary.operators.coordinator.RoundRules;
import io.tributary.operators.optimizer.Algorithm;
import io.tributary.protocol.message.Run;
import io.tributary.protocol.message.UpdateKind;
import io.tributary.testbed.process.ChildProcess;
import io.tributary.testbed.process.EmbeddedBroker;
import io.tributary.testbed.process.KafkaProcess;
import io.tributary.trainer.TrainerClient;
import io.tributary.trainer.TrainerTransport;
import io.tributary.transport.mqtt.BrokerOptions;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.CompletableFuture;
import org.apache.flink.configuration.Configuration;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Trainers in Python and in Java in one job. */
@Timeout(300)
class PythonTrainersITCase {

    private static final long QUOTA = 1 << 28;
    private static final int NO_AGENT = 1;
    private static final int ROUNDS = 4;

    @TempDir Path temp;

    @BeforeEach
    void prepare() {
        PythonTrainers.assumeThere();
    }

    private List<JobTransport> transports(TestJob job, EmbeddedBroker broker, KafkaProcess kafka) {
        return List.of(
                new MqttTransport(BrokerOptions.of(broker.url()), job.staging(QUOTA)),
                new KafkaTransport(kafka.options(), job.staging(QUOTA), false),
                shm(job));
    }

    private static ShmTransport shm(TestJob job) {
        return new ShmTransport(new PayloadStore.Place(job.regions().toString()), QUOTA, NO_AGENT);
    }

    private static RoundRules rules(int trainers) {
        return new RoundRules(
                ROUNDS,
                new RoundRules.Quorum(trainers, trainers),
                new RoundRules.Patience(Duration.ZERO, Duration.ZERO, Duration.ofHours(1)),
                new RoundRules.Folding(
                        RoundRules.Timing.EAGER, UpdateKind.WEIGHTS, Algorithm.FEDAVG, true),
                Map.of(),
                RoundRules.Limits.DEFAULT);
    }

    private ChildProcess start(TestJob job, String id, String uri, String options)
            throws IOException {
        return PythonTrainers.start(job, temp, id, ROUNDS, uri, options);
    }

    private static void awaitDone(Map<String, ChildProcess> processes) {
        processes.forEach(
                (id, process) -> {
                    assertThat(process.await(TestJob.PATIENCE.toSeconds())).as(id).isTrue();
                    assertThat(process.exitCode()).as(process.logTail()).contains(0);
                });
    }

    @Test
    void trainersInJavaPythonAndFlowerMeetByAllTransports() throws Exception {
        TestJob job = new TestJob("both", temp, NO_AGENT);
        try (EmbeddedBroker broker = EmbeddedBroker.start();
                KafkaProcess kafka = KafkaProcess.start(temp.resolve("kafka"))) {
            List<JobTransport> transports = transports(job, broker, kafka);
            List<String> ids = new ArrayList<>();
            Map<String, ChildProcess> inPython = new TreeMap<>();
            List<CompletableFuture<Void>> inJava = new ArrayList<>();
            try (LocalFlink flink =
                    job.start(
                            rules(3 * transports.size()),
                            transports,
                            new Configuration(),
                            Run.draw())) {
                for (JobTransport transport : transports) {
                    String java = "java-" + transport.scheme();
                    String python = "python-" + transport.scheme();
                    String flower = "flower-" + transport.scheme();
                    ids.addAll(List.of(java, python, flower));
                    inJava.add(train(job, java, transport.uri()));
                    inPython.put(python, start(job, python, transport.uri(), "{}"));
                    inPython.put(
                            flower,
                            PythonTrainers.startFlower(job, temp, flower, ROUNDS, transport.uri()));
                }
                for (CompletableFuture<Void> trainer : inJava) {
                    trainer.get();
                }
                awaitDone(inPython);
                flink.awaitFinished();
            } finally {
                inPython.values().forEach(ChildProcess::close);
            }
            for (int round = 1; round <= ROUNDS; round++) {
                assertThat(job.error(round, ids)).as("round " + round).isLessThan(1e-6);
            }
        }
    }

    private static CompletableFuture<Void> train(TestJob job, String id, String uri) {
        return CompletableFuture.runAsync(
                () -> {
                    try (TrainerClient client = job.client(id, TrainerTransport.of(uri))) {
                        client.join();
                        TestJob.train(client);
                    }
                },
                task -> new Thread(task, id).start());
    }

    /**
     * In each round it dies when its update is about to leave, has left or has just been answered.
     */
    @ParameterizedTest
    @ValueSource(strings = {"mqtt", "shm"})
    void aTrainerThatIsKilledWhileItSendsCountsOnce(String scheme) throws Exception {
        TestJob job = new TestJob("killed", temp, NO_AGENT);
        Path state = temp.resolve("state");
        String options = "{\"state_dir\": \"%s\"}".formatted(state);
        Path kept = state.resolve("killed/python.update");
        try (EmbeddedBroker broker = EmbeddedBroker.start()) {
            JobTransport transport =
                    scheme.equals("shm")
                            ? shm(job)
                            : new MqttTransport(BrokerOptions.of(broker.url()), job.staging(QUOTA));
            ChildProcess trainer = start(job, "python", transport.uri(), options);
            try (LocalFlink flink =
                    job.start(rules(2), List.of(transport), new Configuration(), Run.draw())) {
                CompletableFuture<Void> other = train(job, "java", transport.uri());
                for (int kills = 0; kills < ROUNDS; kills++) {
                    await("an update on its way, or all done")
                            .pollInterval(Duration.ofMillis(2))
                            .atMost(TestJob.PATIENCE)
                            .until(() -> Files.exists(kept) || other.isDone());
                    trainer.kill();
                    trainer = start(job, "python", transport.uri(), options);
                }
                other.get();
                awaitDone(Map.of("python", trainer));
                flink.awaitFinished();
            } finally {
                trainer.kill();
            }
            for (int round = 1; round <= ROUNDS; round++) {
                assertThat(job.error(round, List.of("java", "python")))
                        .as("round " + round)
                        .isLessThan(1e-6);
            }
            assertThat(kept).doesNotExist();
        }
    }
}
