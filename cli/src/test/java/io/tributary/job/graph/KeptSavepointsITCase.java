// SPDX-License-Identifier: Apache-2.0

package io.tributary.job.graph;

import static org.assertj.core.api.Assertions.assertThat;

import io.tributary.cli.testutils.TestJob;
import io.tributary.job.JobEntrypoint;
import io.tributary.job.config.JobSpec;
import io.tributary.memory.region.TensorFile;
import io.tributary.protocol.message.ModelDescription;
import io.tributary.protocol.message.RoundStatus;
import io.tributary.protocol.tensor.DType;
import io.tributary.protocol.tensor.SafetensorsHeader;
import io.tributary.trainer.TrainerClient;
import io.tributary.trainer.TrainingRound;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.atomic.AtomicReference;
import java.util.stream.Stream;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.StateRecoveryOptions;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Whole jobs go on from savepoints that earlier releases wrote, under {@code
 * src/test/resources/savepoints}. A release's is written once, by {@code
 * -Dtributary.savepoints=RELEASE}, and kept.
 */
@Timeout(120)
class KeptSavepointsITCase {

    /** A job's state says where its newest model is, so it must be there again. */
    private static final Path PLACE = Path.of("/tmp/tributary-kept-savepoint");

    private static final Path KEPT =
            Path.of(System.getProperty("tributary.home"), "cli/src/test/resources/savepoints");

    private static final List<String> IDS = List.of("t-1", "t-2", "t-3");
    private static final int ROUNDS = 3;
    private static final int ELEMENTS = 100;
    private static final SafetensorsHeader HEADER =
            SafetensorsHeader.create(
                    List.of(SafetensorsHeader.tensor("w", DType.F32, ELEMENTS)), Map.of());

    @TempDir Path temp;

    @BeforeEach
    @AfterEach
    void remove() throws IOException {
        if (Files.exists(PLACE)) {
            try (Stream<Path> all = Files.walk(PLACE)) {
                for (Path path : all.sorted(Comparator.reverseOrder()).toList()) {
                    Files.delete(path);
                }
            }
        }
    }

    private static void copy(Path from, Path to) throws IOException {
        try (Stream<Path> all = Files.walk(from)) {
            for (Path path : all.toList()) {
                Files.copy(path, to.resolve(from.relativize(path).toString()));
            }
        }
    }

    private JobSpec spec() throws IOException {
        return JobSpec.parse(
                "job.yaml",
                """
                job.name: kept
                topology: schema.json
                parallelism: 1
                rounds:
                  count: %d
                  minimum-trainers: 3
                  quorum: 3
                model:
                  initial: model-0.safetensors
                  directory: models
                transports: ["shm:"]
                regions.directory: %s
                checkpoints:
                  interval: 300 ms
                  directory: %s
                """
                        .formatted(ROUNDS, temp.resolve("regions"), temp.resolve("checkpoints")),
                PLACE);
    }

    private LocalFlink start(JobSpec spec, Optional<Path> savepoint) throws Exception {
        LocalFlink flink = LocalFlink.start(Optional.empty(), temp.resolve("flink"));
        Configuration configuration = JobEntrypoint.configuration(spec);
        savepoint.ifPresent(
                path -> configuration.set(StateRecoveryOptions.SAVEPOINT_PATH, path.toString()));
        flink.environment().configure(configuration);
        spec.build(flink.environment());
        flink.submit(spec.name());
        return flink;
    }

    private static float value(String id, int round) {
        return 10 * (1 + IDS.indexOf(id)) + round;
    }

    private static long samples(String id) {
        return 1 + IDS.indexOf(id);
    }

    private static double mean(int round) {
        double sum = 0;
        double all = 0;
        for (String id : IDS) {
            sum += samples(id) * (double) value(id, round);
            all += samples(id);
        }
        return sum / all;
    }

    private static void send(TrainerClient client) {
        TrainingRound round = client.awaitRound(TestJob.PATIENCE).orElseThrow();
        float[] values = new float[ELEMENTS];
        java.util.Arrays.fill(values, value(client.id(), round.id().round()));
        ByteBuffer bytes = ByteBuffer.allocate(4 * ELEMENTS).order(ByteOrder.LITTLE_ENDIAN);
        bytes.asFloatBuffer().put(values);
        var update = round.newUpdate();
        update.bytes("w").put(bytes);
        client.send(update.samples(samples(client.id())));
    }

    private static void train(TrainerClient client, int rounds) {
        for (int round = 0; round < rounds; round++) {
            send(client);
        }
    }

    private static CompletableFuture<Void> go(Runnable task) {
        return CompletableFuture.runAsync(task, run -> new Thread(run).start());
    }

    private static void awaitUpdates(AtomicReference<RoundStatus> status, int round, int updates) {
        Awaitility.await()
                .atMost(Duration.ofSeconds(30))
                .until(
                        () ->
                                status.get() != null
                                        && status.get().round() == round
                                        && status.get().updates() == updates);
    }

    private static JobListener listener(AtomicReference<RoundStatus> status) {
        return new JobListener() {

            @Override
            public void status(RoundStatus newStatus) {
                status.set(newStatus);
            }

            @Override
            public void model(ModelDescription model) {
                // Files say enough.
            }
        };
    }

    /** In round 2, with two of its three updates. */
    @Test
    void write() throws Exception {
        String release = System.getProperty("tributary.savepoints", "");
        Assumptions.assumeFalse(release.isEmpty(), "it is written once for each release");
        Files.createDirectories(PLACE);
        ByteBuffer initial = ByteBuffer.allocate((int) HEADER.fileLength());
        initial.put(HEADER.bytes());
        Files.write(PLACE.resolve("model-0.safetensors"), initial.array());
        Files.write(PLACE.resolve("schema.json"), TreeSchemas.json(3, TestJob.GROUPS, 1));
        JobSpec spec = spec();
        AtomicReference<RoundStatus> status = new AtomicReference<>();
        String savepoint;
        try (LocalFlink flink = start(spec, Optional.empty());
                AutoCloseable following = spec.followed().follow(spec.name(), listener(status))) {
            try (TrainerClient first = TestJob.joined(spec, IDS.get(0));
                    TrainerClient second = TestJob.joined(spec, IDS.get(1));
                    TrainerClient third = TestJob.joined(spec, IDS.get(2))) {
                CompletableFuture.allOf(
                                go(() -> send(first)),
                                go(() -> send(second)),
                                go(() -> send(third)))
                        .get();
                CompletableFuture.allOf(go(() -> send(first)), go(() -> send(second))).get();
                awaitUpdates(status, 2, 2);
                savepoint = flink.stopWithSavepoint(PLACE.resolve("savepoints"));
            }
        }
        Files.move(Path.of(savepoint.replaceFirst("^file:/*", "/")), PLACE.resolve("savepoint"));
        Files.delete(PLACE.resolve("savepoints"));
        Files.createDirectories(KEPT);
        copy(PLACE, KEPT.resolve(release));
    }

    @ParameterizedTest
    @ValueSource(strings = "0.1.0")
    void aJobGoesOn(String release) throws Exception {
        copy(KEPT.resolve(release), PLACE);
        JobSpec spec = spec();
        AtomicReference<RoundStatus> status = new AtomicReference<>();
        try (LocalFlink flink = start(spec, Optional.of(PLACE.resolve("savepoint")));
                AutoCloseable following = spec.followed().follow(spec.name(), listener(status))) {
            awaitUpdates(status, 2, 2);
            List<CompletableFuture<Void>> trainers = new ArrayList<>();
            // The others' updates of this round are in the savepoint.
            try (TrainerClient first = TestJob.joined(spec, IDS.get(0));
                    TrainerClient second = TestJob.joined(spec, IDS.get(1));
                    TrainerClient third = TestJob.joined(spec, IDS.get(2))) {
                for (TrainerClient client : List.of(first, second, third)) {
                    trainers.add(go(() -> train(client, 2)));
                }
                for (CompletableFuture<Void> trainer : trainers) {
                    trainer.get();
                }
            }
            flink.awaitFinished();
        }
        for (int round = 2; round <= ROUNDS; round++) {
            Path model = PLACE.resolve("models/model-%d.safetensors".formatted(round));
            try (TensorFile file = TensorFile.open(model)) {
                ByteBuffer values = file.elements(file.header().tensors().get(0), 0, ELEMENTS);
                for (int i = 0; i < ELEMENTS; i++) {
                    assertThat(values.getFloat(4 * i)).isEqualTo((float) mean(round));
                }
            }
        }
    }
}
