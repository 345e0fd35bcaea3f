// SPDX-License-Identifier: Apache-2.0

package io.tributary.testbed.cluster;

import static org.assertj.core.api.Assertions.assertThat;

import io.tributary.cli.testutils.Mosquitto;
import io.tributary.cli.testutils.TestJob;
import io.tributary.job.config.JobSpec;
import io.tributary.job.graph.JobListener;
import io.tributary.job.graph.TreeSchemas;
import io.tributary.job.testutils.SmallModel;
import io.tributary.memory.region.RegionDirectory;
import io.tributary.node.agent.FreePorts;
import io.tributary.protocol.message.ModelDescription;
import io.tributary.protocol.message.RoundStatus;
import io.tributary.protocol.topology.Topology;
import io.tributary.testbed.process.ChildProcess;
import io.tributary.trainer.TrainerClient;
import io.tributary.trainer.TrainingRound;
import io.tributary.transport.mqtt.BrokerOptions;
import io.tributary.transport.mqtt.MqttLink;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Executor;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Stream;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What docs/operations.md says that a job needs, beside what one takes. */
@Tag("alone")
@Timeout(180)
class CapacityITCase {

    private static final Duration PATIENCE = Duration.ofSeconds(60);
    private static final int TRAINERS = 6;
    private static final int ROUNDS = 2;

    /** The least that a job takes of what the page says; less would be a page that says nothing. */
    private static final double LEAST = 0.6;

    @TempDir Path temp;

    private final Topology topology = TreeSchemas.of(4, TestJob.GROUPS, 1);
    private final AtomicInteger updates = new AtomicInteger();

    /** A formula of the page: products of names and numbers, and their sum. */
    private static double formula(String name, Map<String, Double> values) throws IOException {
        Path page = Path.of(System.getProperty("tributary.home"), "docs/operations.md");
        String right =
                Files.readAllLines(page).stream()
                        .filter(line -> line.matches(name + " +=.*"))
                        .map(line -> line.substring(line.indexOf('=') + 1))
                        .findFirst()
                        .orElseThrow();
        return Arrays.stream(right.split("\\+"))
                .mapToDouble(
                        product ->
                                Arrays.stream(product.split("×"))
                                        .map(String::strip)
                                        .mapToDouble(
                                                word ->
                                                        word.matches("[0-9]+")
                                                                ? Double.parseDouble(word)
                                                                : values.get(word))
                                        .reduce(1, (a, b) -> a * b))
                .sum();
    }

    private Map<String, Double> values() {
        Map<String, Double> values = new HashMap<>();
        values.put("trainers", (double) TRAINERS);
        values.put("rounds", (double) ROUNDS);
        values.put("width", 4.0);
        values.put("parameters", (double) SmallModel.HEADER.fileLength() / 4);
        values.put("nodes", (double) topology.nodes().stream().mapToInt(List::size).sum());
        values.put("leaves", (double) topology.nodes().get(0).size());
        return values;
    }

    private void assertNeeds(String name, double found) throws IOException {
        double said = formula(name, values());
        assertThat(found).as("%s, of %.0f", name, said).isBetween(LEAST * said, said);
    }

    private JobSpec spec(String transport) throws IOException {
        SmallModel.write(temp.resolve("model-0.safetensors"), 0);
        Files.write(temp.resolve("schema.json"), TreeSchemas.json(4, TestJob.GROUPS, 1));
        return JobSpec.read(
                Files.writeString(
                        temp.resolve("job.yaml"),
                        """
                        job.name: measured
                        topology: schema.json
                        parallelism: 1
                        rounds:
                          count: %d
                          minimum-trainers: %d
                          quorum: %2$d
                        model:
                          initial: model-0.safetensors
                          directory: models
                        transports: ["%3$s"]
                        regions:
                          directory: %4$s
                          quota: 512 mb
                        checkpoints:
                          interval: 3 s
                          directory: checkpoints
                        """
                                .formatted(ROUNDS, TRAINERS, transport, temp.resolve("regions"))));
    }

    private static long bytes(Path directory) {
        try (Stream<Path> files = Files.walk(directory)) {
            return files.filter(Files::isRegularFile).mapToLong(f -> f.toFile().length()).sum();
        } catch (IOException | java.io.UncheckedIOException changing) {
            return 0;
        }
    }

    private long regions() {
        return RegionDirectory.list(temp.resolve("regions")).stream()
                .mapToLong(file -> file.toFile().length())
                .sum();
    }

    private JobListener counting() {
        return new JobListener() {

            @Override
            public void status(RoundStatus status) {
                updates.set(status.updates());
            }

            @Override
            public void model(ModelDescription model) {
                // Files say enough.
            }
        };
    }

    /** The largest complete checkpoint from now on. */
    private long checkpoint() {
        long before = newest();
        Awaitility.await().atMost(PATIENCE).until(() -> newest() > before + 1);
        try (Stream<Path> all = Files.walk(temp.resolve("checkpoints"))) {
            return all.filter(path -> path.getFileName().toString().startsWith("chk-"))
                    .mapToLong(CapacityITCase::bytes)
                    .max()
                    .orElseThrow();
        } catch (IOException | java.io.UncheckedIOException changing) {
            // Flink has just removed an older one.
            return checkpoint();
        }
    }

    private long newest() {
        try (Stream<Path> all = Files.walk(temp.resolve("checkpoints"))) {
            return all.filter(path -> path.getFileName().toString().equals("_metadata"))
                    .map(path -> path.getParent().getFileName().toString())
                    .mapToLong(name -> Long.parseLong(name.substring("chk-".length())))
                    .max()
                    .orElse(0);
        } catch (IOException | java.io.UncheckedIOException changing) {
            return 0;
        }
    }

    /** All but the last send, a checkpoint is looked at, and the last one sends. */
    private void train(List<TrainerClient> trainers, Runnable open) throws Exception {
        for (int number = 1; number <= ROUNDS; number++) {
            List<CompletableFuture<Void>> sent = new ArrayList<>();
            for (TrainerClient trainer : trainers) {
                boolean last = trainer == trainers.get(trainers.size() - 1);
                TrainingRound round = trainer.awaitRound(PATIENCE).orElseThrow();
                if (last) {
                    Awaitility.await().atMost(PATIENCE).until(() -> updates.get() == TRAINERS - 1);
                    open.run();
                }
                sent.add(
                        CompletableFuture.runAsync(
                                () -> trainer.send(TestJob.update(round, trainer.id()))));
            }
            for (CompletableFuture<Void> one : sent) {
                one.get();
            }
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"regions", "regions-shm"})
    void whatAJobTakesIsWhatThePageSays(String formula) throws Exception {
        boolean shared = formula.equals("regions-shm");
        int port = FreePorts.next();
        try (Mosquitto ignored = Mosquitto.start(port, "allow_anonymous true", "sys_interval 1");
                Traffic traffic = Traffic.listen("mqtt://127.0.0.1:" + port)) {
            JobSpec spec = spec(shared ? "shm:" : "mqtt://127.0.0.1:" + port);
            AtomicInteger checkpoint = new AtomicInteger();
            AtomicInteger most = new AtomicInteger();
            try (JobHere job = JobHere.start(spec, System.out::println);
                    AutoCloseable following = spec.followed().follow(spec.name(), counting())) {
                CompletableFuture<Void> running =
                        CompletableFuture.runAsync(
                                () -> {
                                    try {
                                        job.run();
                                    } catch (Exception e) {
                                        throw new IllegalStateException(e);
                                    }
                                },
                                own("job"));
                CompletableFuture<Void> watching =
                        CompletableFuture.runAsync(
                                () -> {
                                    while (!running.isDone()) {
                                        most.accumulateAndGet((int) regions(), Math::max);
                                        ChildProcess.pause();
                                    }
                                },
                                own("watching"));
                List<TrainerClient> trainers = new ArrayList<>();
                for (int i = 1; i <= TRAINERS; i++) {
                    trainers.add(TestJob.joined(spec, "t-" + i));
                }
                train(trainers, () -> checkpoint.set((int) checkpoint()));
                for (TrainerClient trainer : trainers) {
                    assertThat(trainer.awaitRound(PATIENCE)).isEmpty();
                    trainer.close();
                }
                running.get();
                watching.get();
            }
            assertNeeds(formula, most.get());
            assertNeeds("checkpoint", checkpoint.get());
            long versions = bytes(temp.resolve("models/versions"));
            assertNeeds("models", versions + ledgers());
            if (!shared) {
                assertNeeds("broker-in", traffic.bytes("received"));
                assertNeeds("broker-out", traffic.bytes("sent"));
            }
        }
    }

    /** The common pool has a thread for each processor only. */
    private static Executor own(String name) {
        return task -> new Thread(task, name).start();
    }

    private long ledgers() throws IOException {
        try (Stream<Path> files = Files.list(temp.resolve("models"))) {
            return files.filter(f -> f.toString().endsWith(".json"))
                    .mapToLong(f -> f.toFile().length())
                    .sum();
        }
    }

    /** What a broker says of the bytes that it has received and sent. */
    private static final class Traffic implements AutoCloseable {

        private final Map<String, Long> bytes = new ConcurrentHashMap<>();
        private final AtomicInteger messages = new AtomicInteger();
        private MqttLink link;

        static Traffic listen(String broker) {
            Traffic traffic = new Traffic();
            traffic.link =
                    MqttLink.connect(
                            BrokerOptions.of(broker),
                            new MqttLink.Settings("traffic", 100, Optional.empty()),
                            message -> {
                                String topic = message.topic();
                                traffic.bytes.put(
                                        topic.substring(topic.lastIndexOf('/') + 1),
                                        Long.parseLong(new String(message.payload()).strip()));
                                traffic.messages.incrementAndGet();
                                message.done().run();
                            });
            traffic.link.subscribe(List.of("$SYS/broker/bytes/received", "$SYS/broker/bytes/sent"));
            return traffic;
        }

        /** As it is said a second after all has been sent. */
        long bytes(String direction) {
            AtomicInteger before = new AtomicInteger(messages.get());
            Awaitility.await().atMost(PATIENCE).until(() -> messages.get() > before.get() + 3);
            return bytes.get(direction);
        }

        @Override
        public void close() {
            link.close();
        }
    }
}
