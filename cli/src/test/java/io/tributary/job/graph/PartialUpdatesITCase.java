// SPDX-License-Identifier: Apache-2.0

package io.tributary.job.graph;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.tributary.cli.testutils.TestJob;
import io.tributary.job.testutils.SmallModel;
import io.tributary.memory.region.TensorFile;
import io.tributary.node.PayloadStore;
import io.tributary.operators.coordinator.RoundRules;
import io.tributary.operators.optimizer.Algorithm;
import io.tributary.protocol.message.Receipt;
import io.tributary.protocol.message.UpdateKind;
import io.tributary.protocol.tensor.TensorInfo;
import io.tributary.protocol.tensor.UpdateTensors;
import io.tributary.trainer.ModelUpdate;
import io.tributary.trainer.TrainerClient;
import io.tributary.trainer.TrainingRound;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.CompletableFuture;
import org.apache.flink.configuration.Configuration;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** SCAFFOLD with trainers of which each sends other tensors, and one tensor that stays with all. */
@Timeout(300)
class PartialUpdatesITCase {

    private static final int NO_AGENT = 1;
    private static final int ROUNDS = 3;
    private static final String PERSONAL = "half";

    /** What each trainer sends; all where it says nothing. */
    private static final Map<String, Set<String>> SENT =
            Map.of(
                    "t-1", Set.of("layer.bias", "control/layer.bias"),
                    "t-2", Set.of("layer.weight", "steps", "control/layer.weight"));

    private static final List<String> IDS = List.of("t-1", "t-2", "t-3");

    @TempDir Path temp;

    private LocalFlink start(TestJob job) throws Exception {
        return job.start(
                new RoundRules(
                        ROUNDS,
                        new RoundRules.Quorum(IDS.size(), IDS.size()),
                        new RoundRules.Patience(Duration.ZERO, Duration.ZERO, Duration.ofHours(1)),
                        new RoundRules.Folding(
                                RoundRules.Timing.EAGER,
                                UpdateKind.WEIGHTS,
                                Algorithm.named("scaffold", Map.of()),
                                true,
                                new UpdateTensors(true, List.of(PERSONAL))),
                        Map.of(),
                        RoundRules.Limits.DEFAULT),
                new ShmTransport(
                        new PayloadStore.Place(job.regions().toString()), 1 << 28, NO_AGENT),
                new Configuration(),
                TestJob.run(job.name()));
    }

    /** All elements of a tensor have it. */
    private static int value(String id, int round, String tensor) {
        return (id.hashCode() * 31 + round * 7 + tensor.hashCode()) % 50;
    }

    private static Receipt send(TrainerClient client, TrainingRound round) {
        Set<String> names = SENT.get(client.id());
        ModelUpdate update = names == null ? round.newUpdate() : round.newUpdate(names);
        for (TensorInfo tensor : round.header().tensors()) {
            if (names == null ? !tensor.name().endsWith(PERSONAL) : names.contains(tensor.name())) {
                ByteBuffer bytes = update.bytes(tensor.name());
                for (int at = 0; at < bytes.capacity(); at += tensor.dtype().bytes()) {
                    tensor.dtype()
                            .put(bytes, at, value(client.id(), round.id().round(), tensor.name()));
                }
            }
        }
        return client.send(update.samples(TestJob.samples(client.id())));
    }

    private static void train(TestJob job, String id) {
        try (TrainerClient client = job.client(id)) {
            client.join();
            Optional<TrainingRound> round = client.awaitRound(TestJob.PATIENCE);
            while (round.isPresent()) {
                TrainingRound its = round.get();
                assertThat(its.expected().sets()).containsExactly("control");
                assertThatThrownBy(() -> its.newUpdate().bytes(PERSONAL))
                        .hasMessageContaining("the model has no tensor 'half'");
                assertThat(send(client, its).status()).isEqualTo(Receipt.Status.COMMITTED);
                round = client.awaitRound(TestJob.PATIENCE);
            }
        }
    }

    private static Map<String, Double> first(Path file) {
        Map<String, Double> values = new TreeMap<>();
        try (TensorFile model = TensorFile.open(file)) {
            for (TensorInfo tensor : model.header().tensors()) {
                double[] all = SmallModel.values(model, tensor.name());
                values.put(tensor.name(), all[all.length - 1]);
                if (!tensor.name().endsWith(PERSONAL)) {
                    assertThat(all[0]).isEqualTo(all[all.length - 1]);
                }
            }
        }
        return values;
    }

    private static List<String> senders(String tensor) {
        return IDS.stream()
                .filter(id -> !SENT.containsKey(id) || SENT.get(id).contains(tensor))
                .toList();
    }

    private static double expected(String tensor, int round, double before) {
        if (tensor.endsWith(PERSONAL)) {
            return before;
        }
        boolean integers = tensor.equals("steps");
        double sum = 0;
        double weights = 0;
        for (String id : senders(tensor)) {
            double weight = integers ? TestJob.samples(id) : 1;
            sum += weight * value(id, round, tensor);
            weights += weight;
        }
        double mean = sum / weights;
        double part = (double) senders(tensor).size() / IDS.size();
        return integers
                ? Math.rint(mean)
                : tensor.startsWith("control/") ? before + part * (mean - before) : mean;
    }

    @Test
    void eachTensorIsAveragedOverThoseThatSentIt() throws Exception {
        TestJob job = new TestJob("partial", temp, NO_AGENT);
        try (LocalFlink flink = start(job)) {
            CompletableFuture.allOf(
                            IDS.stream()
                                    .map(id -> CompletableFuture.runAsync(() -> train(job, id)))
                                    .toArray(CompletableFuture[]::new))
                    .join();
            flink.awaitFinished();
        }
        Map<String, Double> before = new TreeMap<>();
        try (TensorFile initial = TensorFile.open(temp.resolve("partial-0.safetensors"))) {
            double[] personal = SmallModel.values(initial, PERSONAL);
            before.put(PERSONAL, personal[personal.length - 1]);
        }
        for (int round = 1; round <= ROUNDS; round++) {
            Map<String, Double> found = first(job.model(round));
            assertThat(found).hasSize(7);
            for (String tensor : found.keySet()) {
                double wanted = expected(tensor, round, before.getOrDefault(tensor, 0.0));
                assertThat(found.get(tensor))
                        .as("round %d, %s", round, tensor)
                        .isCloseTo(wanted, within(1e-6 * Math.max(1, Math.abs(wanted))));
            }
            before.putAll(found);
        }
    }
}
