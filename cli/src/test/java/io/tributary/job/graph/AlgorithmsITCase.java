// SPDX-License-Identifier: Apache-2.0

package io.tributary.job.graph;

import static org.assertj.core.api.Assertions.assertThat;

import io.tributary.cli.testutils.TestJob;
import io.tributary.job.testutils.SmallModel;
import io.tributary.memory.region.TensorFile;
import io.tributary.node.PayloadStore;
import io.tributary.operators.coordinator.RoundRules;
import io.tributary.operators.optimizer.Algorithm;
import io.tributary.protocol.message.Receipt;
import io.tributary.protocol.message.UpdateKind;
import io.tributary.trainer.TrainerClient;
import io.tributary.trainer.TrainingRound;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import org.apache.flink.configuration.CheckpointingOptions;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.CoreOptions;
import org.apache.flink.configuration.StateBackendOptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Whole jobs with other algorithms than the mean, against their formulas in float64. */
@Timeout(300)
class AlgorithmsITCase {

    private static final List<String> IDS = List.of("t-1", "t-2", "t-3");
    private static final String TENSOR = "layer.weight";
    private static final int NO_AGENT = 1;
    private static final int ROUNDS = 4;

    @TempDir Path temp;

    private LocalFlink start(TestJob job, Algorithm algorithm, int parallelism, String backend)
            throws Exception {
        Configuration more = new Configuration();
        more.set(CoreOptions.DEFAULT_PARALLELISM, parallelism);
        more.set(StateBackendOptions.STATE_BACKEND, backend);
        more.set(CheckpointingOptions.INCREMENTAL_CHECKPOINTS, true);
        return job.start(
                new RoundRules(
                        ROUNDS,
                        new RoundRules.Quorum(IDS.size(), IDS.size()),
                        new RoundRules.Patience(Duration.ZERO, Duration.ZERO, Duration.ofHours(1)),
                        new RoundRules.Folding(
                                RoundRules.Timing.EAGER, UpdateKind.WEIGHTS, algorithm, true),
                        Map.of(),
                        RoundRules.Limits.DEFAULT),
                new ShmTransport(
                        new PayloadStore.Place(job.regions().toString()), 1 << 28, NO_AGENT),
                more,
                TestJob.run(job.name()));
    }

    /** Trains from a round, which is the one that is open, up to another, and leaves. */
    private static void train(TestJob job, int first, int last) {
        CompletableFuture.allOf(
                        IDS.stream()
                                .map(
                                        id ->
                                                CompletableFuture.runAsync(
                                                        () -> train(job, id, first, last)))
                                .toArray(CompletableFuture[]::new))
                .join();
    }

    private static void train(TestJob job, String id, int first, int last) {
        try (TrainerClient client = job.client(id)) {
            client.join();
            Optional<TrainingRound> round = client.awaitRound(TestJob.PATIENCE);
            assertThat(round.orElseThrow().id().round()).isEqualTo(first);
            while (round.isPresent() && round.get().id().round() < last) {
                client.send(TestJob.update(round.get(), id));
                round = client.awaitRound(TestJob.PATIENCE);
            }
            if (round.isPresent()) {
                assertThat(client.send(TestJob.update(round.get(), id)).status())
                        .isEqualTo(Receipt.Status.COMMITTED);
            }
        }
    }

    private double[] update(String id, int round) throws IOException {
        return values(Files.write(temp.resolve("u-" + id), TestJob.bytes(id, round)));
    }

    private static double[] values(Path file) {
        try (TensorFile model = TensorFile.open(file)) {
            return SmallModel.values(model, TENSOR);
        }
    }

    /** The optimizer's memory comes along, also to another parallelism and another backend. */
    @ParameterizedTest
    @CsvSource({"hashmap, rocksdb", "rocksdb, hashmap"})
    void fedAdamGoesOnWhereASavepointHasLeftIt(String before, String after) throws Exception {
        Algorithm algorithm = Algorithm.named("fedadam", Map.of("learning-rate", "0.5"));
        TestJob job = new TestJob("adam", temp, NO_AGENT);
        try (LocalFlink flink = start(job, algorithm, 2, before)) {
            train(job, 1, 2);
            job.awaitModel(2);
            flink.stopWithSavepoint(temp.resolve("adam/checkpoints"));
        }
        try (LocalFlink flink = start(job, algorithm, 3, after)) {
            train(job, 3, ROUNDS);
            job.awaitModel(ROUNDS);
            flink.check();
        }
        double[] model = values(temp.resolve("adam-0.safetensors"));
        double[] m = new double[model.length];
        double[] v = new double[model.length];
        Arrays.fill(v, 1e-6);
        for (int round = 1; round <= ROUNDS; round++) {
            double[] change = new double[model.length];
            long weight = IDS.stream().mapToLong(TestJob::samples).sum();
            for (String id : IDS) {
                double[] update = update(id, round);
                for (int i = 0; i < change.length; i++) {
                    change[i] += TestJob.samples(id) * (update[i] - model[i]) / weight;
                }
            }
            for (int i = 0; i < model.length; i++) {
                m[i] = 0.9 * m[i] + 0.1 * change[i];
                v[i] = 0.99 * v[i] + 0.01 * change[i] * change[i];
                model[i] += 0.5 * m[i] / (Math.sqrt(v[i]) + 0.001);
            }
            requireClose(values(job.model(round)), model, "round " + round);
            model = values(job.model(round));
        }
    }

    private static void requireClose(double[] found, double[] expected, String what) {
        for (int i = 0; i < expected.length; i++) {
            if (Math.abs(found[i] - expected[i]) > 1e-5 * Math.max(1, Math.abs(expected[i]))) {
                assertThat(found[i]).as("%s, element %d", what, i).isEqualTo(expected[i]);
            }
        }
    }

    @Test
    void theMedianOfAllUpdatesIsTheModel() throws Exception {
        TestJob job = new TestJob("median", temp, NO_AGENT);
        try (LocalFlink flink = start(job, Algorithm.named("median", Map.of()), 2, "forst")) {
            train(job, 1, ROUNDS);
            flink.awaitFinished();
        }
        for (int round = 1; round <= ROUNDS; round++) {
            List<double[]> updates = new ArrayList<>();
            for (String id : IDS) {
                updates.add(update(id, round));
            }
            double[] found = values(job.model(round));
            double[] of = new double[IDS.size()];
            for (int i = 0; i < found.length; i++) {
                for (int k = 0; k < of.length; k++) {
                    of[k] = updates.get(k)[i];
                }
                Arrays.sort(of);
                if (found[i] != of[1]) {
                    assertThat(found[i]).as("round %d, element %d", round, i).isEqualTo(of[1]);
                }
            }
        }
    }
}
