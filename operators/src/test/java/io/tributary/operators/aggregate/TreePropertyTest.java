// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.aggregate;

import static org.assertj.core.api.Assertions.assertThat;

import io.tributary.memory.region.RegionPool;
import io.tributary.node.PayloadStore;
import io.tributary.operators.clock.Clock;
import io.tributary.operators.coordinator.RoundRules;
import io.tributary.operators.coordinator.RoundRules.Timing;
import io.tributary.operators.model.ModelShard;
import io.tributary.operators.model.ModelSpec;
import io.tributary.operators.model.PosixModelStore;
import io.tributary.operators.optimizer.Algorithm;
import io.tributary.operators.testutils.CoordinatorHarness;
import io.tributary.operators.testutils.TestModels;
import io.tributary.operators.testutils.Topologies;
import io.tributary.protocol.message.Claim;
import io.tributary.protocol.message.TrainerEvent;
import io.tributary.protocol.message.UpdateKind;
import io.tributary.protocol.tensor.DType;
import io.tributary.protocol.tensor.ModelLayout;
import io.tributary.protocol.tensor.SafetensorsHeader;
import io.tributary.protocol.tensor.TensorInfo;
import io.tributary.protocol.tensor.UpdateTensors;
import io.tributary.protocol.topology.Topology;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.TreeMap;
import java.util.function.IntToDoubleFunction;
import java.util.function.Supplier;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import net.jqwik.api.constraints.LongRange;
import net.jqwik.api.constraints.Size;
import net.jqwik.api.lifecycle.AfterTry;
import net.jqwik.api.lifecycle.BeforeTry;
import org.apache.flink.runtime.checkpoint.OperatorSubtaskState;
import org.apache.flink.streaming.util.KeyedOneInputStreamOperatorTestHarness;

/**
 * Eager equals lazy equals the formula over all updates, for any tree, order, weights, and restore.
 */
class TreePropertyTest {

    private static final SafetensorsHeader HEADER =
            TestModels.header(
                    SafetensorsHeader.tensor("a", DType.F32, 4, 5),
                    SafetensorsHeader.tensor("b", DType.F64, 3),
                    SafetensorsHeader.tensor("c", DType.F32, 6),
                    SafetensorsHeader.tensor("n", DType.I32, 4));

    private Path temp;

    @BeforeTry
    void makeDirectory() throws IOException {
        temp = Files.createTempDirectory("tree");
    }

    @AfterTry
    void removeDirectory() throws IOException {
        try (Stream<Path> files = Files.walk(temp)) {
            for (Path file : files.sorted(Comparator.reverseOrder()).toList()) {
                Files.delete(file);
            }
        }
    }

    /** What an algorithm says of the new model, written from its paper, all updates at once. */
    @FunctionalInterface
    private interface Flat {
        double of(Case what, Tensor tensor, int element);
    }

    private enum Way {
        FEDAVG("fedavg", (what, t, i) -> what.mean(t, i, k -> what.weights.get(k))),
        // Equal weights; of the control variate |S| / N is 1, since all trainers send.
        SCAFFOLD(
                "scaffold",
                (what, t, i) -> {
                    double mean = what.mean(t, i, k -> 1);
                    double part = (double) what.senders(t).size() / what.weights.size();
                    double start = what.model.get(t.name())[i];
                    return t.name().startsWith("control/") ? start + part * (mean - start) : mean;
                }),
        FEDNOVA(
                "fednova",
                (what, t, i) -> {
                    double samples = what.weights.stream().mapToLong(Long::longValue).sum();
                    double start = what.model.get(t.name())[i];
                    double steps = 0;
                    double normalized = 0;
                    for (int k : what.senders(t)) {
                        double p = what.weights.get(k) / samples;
                        steps += p * steps(k);
                        normalized += p * (what.updates.get(k).get(t.name())[i] - start) / steps(k);
                    }
                    return start + steps * normalized;
                }),
        QFEDAVG(
                "qfedavg",
                (what, t, i) -> {
                    double start = what.model.get(t.name())[i];
                    double sum = 0;
                    double sumOfH = 0;
                    for (int k : what.senders(t)) {
                        double loss = steps(k) + 1e-10;
                        sum +=
                                Math.pow(loss, 0.1)
                                        * 10
                                        * (start - what.updates.get(k).get(t.name())[i]);
                        sumOfH +=
                                0.1 * Math.pow(loss, -0.9) * 100 * steps(k)
                                        + 10 * Math.pow(loss, 0.1);
                    }
                    return start - sum / sumOfH;
                });

        private final Algorithm algorithm;
        private final Flat flat;

        Way(String name, Flat flat) {
            this.algorithm = Algorithm.named(name, Map.of());
            this.flat = flat;
        }
    }

    private record Tensor(String name) {}

    /** Stands for steps, for the loss, and for the squared norm: all that matters is the sum. */
    private static double steps(int trainer) {
        return 1 + trainer % 4;
    }

    /** What is aggregated. */
    private record Case(
            Way way,
            ModelSpec spec,
            Map<String, double[]> model,
            List<Path> files,
            List<Map<String, double[]>> updates,
            List<Long> weights) {

        List<Integer> senders(Tensor tensor) {
            return IntStream.range(0, updates.size())
                    .filter(k -> updates.get(k).containsKey(tensor.name()))
                    .boxed()
                    .toList();
        }

        double mean(Tensor tensor, int element, IntToDoubleFunction weight) {
            double sum = 0;
            double total = 0;
            for (int k : senders(tensor)) {
                sum += weight.applyAsDouble(k) * updates.get(k).get(tensor.name())[element];
                total += weight.applyAsDouble(k);
            }
            return sum / total;
        }
    }

    /** The values of a file by tensor. */
    private static Map<String, double[]> values(SafetensorsHeader header, double[] all) {
        Map<String, double[]> values = new TreeMap<>();
        int at = 0;
        for (TensorInfo tensor : header.tensors()) {
            int count = (int) tensor.elements();
            values.put(tensor.name(), Arrays.copyOfRange(all, at, at + count));
            at += count;
        }
        return values;
    }

    private static Map<String, double[]> values(Path file) {
        return values(SafetensorsHeader.read(file), TestModels.values(file));
    }

    /** Some of the model's tensors, in any order. */
    private static SafetensorsHeader some(SafetensorsHeader model, Random random) {
        List<TensorInfo> tensors = new ArrayList<>(model.tensors());
        Collections.shuffle(tensors, random);
        return SafetensorsHeader.create(
                tensors.subList(0, 1 + random.nextInt(tensors.size())), Map.of());
    }

    @Property(tries = 80)
    void whatIsFoldedIsTheFormulaByAnyTree(
            @ForAll Way way,
            @ForAll boolean partial,
            @ForAll @Size(min = 1, max = 9) List<@LongRange(min = 1, max = 100_000) Long> weights,
            @ForAll @Size(min = 0, max = 2)
                    List<@IntRange(min = 1, max = 4) Integer> groupsBelowTop,
            @ForAll @IntRange(min = 1, max = 3) int replica,
            @ForAll @IntRange(min = 1, max = 30) int shardElements,
            @ForAll long seed)
            throws Exception {
        List<Integer> groups = new ArrayList<>(groupsBelowTop);
        groups.add(1);
        groups.sort(Collections.reverseOrder());
        Topology topology = Topologies.of(groups, replica);
        Random random = new Random(seed);
        boolean leavesOut = partial && way.algorithm.rule().metrics().isEmpty();
        ModelSpec spec =
                new ModelSpec(
                        TestModels.write(temp.resolve("model"), HEADER, seed).toString(),
                        shardElements,
                        UpdateKind.WEIGHTS,
                        way.algorithm.optimizer().sets(),
                        new UpdateTensors(leavesOut, List.of()));
        SafetensorsHeader whole = SafetensorsHeader.read(spec.file());
        List<Path> files = new ArrayList<>();
        for (int i = 0; i < weights.size(); i++) {
            SafetensorsHeader its = leavesOut ? some(whole, random) : whole;
            files.add(TestModels.write(temp.resolve("u" + i), its, seed + i + 1));
        }
        Case what =
                new Case(
                        way,
                        spec,
                        values(spec.file()),
                        files,
                        files.stream().map(TreePropertyTest::values).toList(),
                        weights);
        Map<String, double[]> eager = run(topology, what, Timing.EAGER, seed, Optional.empty());
        Map<String, double[]> lazy;
        RegionPool.Place place =
                new RegionPool.Place("job", temp.resolve("regions").toString(), 1L << 28);
        // Held, as the level that comes next holds it in a job.
        try (RegionPool held = place.open(0)) {
            lazy = run(topology, what, Timing.LAZY, ~seed, Optional.of(place));
        }
        for (String name : what.model.keySet()) {
            Tensor tensor = new Tensor(name);
            for (int i = 0; i < what.model.get(name).length; i++) {
                double flat =
                        what.senders(tensor).isEmpty()
                                ? what.model.get(name)[i]
                                : name.equals("n")
                                        ? Math.rint(what.mean(tensor, i, weights::get))
                                        : way.flat.of(what, tensor, i);
                // Half a unit in the last place of a float32 at the values' magnitude.
                double tolerance = Math.max(1e-12, Math.ulp((float) flat));
                assertThat(eager.get(name)[i]).isBetween(flat - tolerance, flat + tolerance);
                assertThat(lazy.get(name)[i]).isBetween(flat - tolerance, flat + tolerance);
            }
        }
    }

    private static Claim claim(Case what, int trainer) {
        return new Claim(
                "job",
                "t" + trainer,
                1,
                0,
                1,
                what.weights.get(trainer),
                UpdateKind.WEIGHTS,
                trainer,
                true,
                TestModels.payload(what.files.get(trainer)),
                Map.of(
                        "steps",
                        steps(trainer),
                        "loss-before",
                        steps(trainer),
                        "squared-norm",
                        steps(trainer)));
    }

    private Map<String, double[]> run(
            Topology topology, Case what, Timing timing, long seed, Optional<RegionPool.Place> pool)
            throws Exception {
        int trainers = what.files.size();
        RoundRules rules =
                new RoundRules(
                        1,
                        new RoundRules.Quorum(trainers, trainers),
                        new RoundRules.Patience(Duration.ZERO, Duration.ZERO, Duration.ofHours(1)),
                        new RoundRules.Folding(
                                timing, UpdateKind.WEIGHTS, what.way.algorithm, true),
                        Map.of(),
                        RoundRules.Limits.DEFAULT);
        Random random = new Random(seed);
        List<Integer> order = new ArrayList<>();
        int levels = topology.nodes().size();
        List<List<AggregatorInput>> inputs = new ArrayList<>();
        try (CoordinatorHarness coordinator = new CoordinatorHarness(topology, rules, what.spec)) {
            for (int i = 0; i < trainers; i++) {
                List<String> tags = topology.trainerGroups();
                coordinator.join("t" + i, tags.get(random.nextInt(tags.size())));
                order.add(i);
            }
            Collections.shuffle(order, random);
            for (int i : order) {
                coordinator.send(new TrainerEvent.UpdateStaged(claim(what, i)));
            }
            for (int level = 0; level < levels; level++) {
                inputs.add(new ArrayList<>(coordinator.commands(level)));
            }
        }
        PosixModelStore models = PosixModelStore.at(temp.resolve("models"));
        for (int level = 0; level < levels - 1; level++) {
            List<AggregatorInput> partials =
                    drive(
                            () ->
                                    new PartialSumOperator(
                                            what.spec,
                                            models,
                                            PayloadStore.Place.NONE,
                                            pool,
                                            Clock.SYSTEM),
                            inputs.get(level),
                            random);
            // Closes and partial sums come by different channels, in any order.
            inputs.get(level + 1).addAll(partials);
            Collections.shuffle(inputs.get(level + 1), random);
        }
        ModelLayout layout = what.spec.layout();
        SafetensorsHeader header = layout.header();
        byte[] data = new byte[(int) (header.fileLength() - header.dataOffset())];
        List<ModelShard> shards =
                drive(
                        () ->
                                new TopOperator(
                                        what.spec,
                                        models,
                                        PayloadStore.Place.NONE,
                                        pool,
                                        what.way.algorithm,
                                        Clock.SYSTEM),
                        inputs.get(levels - 1),
                        random);
        assertThat(shards).hasSize(layout.shards());
        for (ModelShard shard : shards) {
            byte[] bytes = shard.region().isPresent() ? read(pool, shard, layout) : shard.bytes();
            System.arraycopy(
                    bytes,
                    0,
                    data,
                    (int) (layout.fileOffset(shard.shard()) - header.dataOffset()),
                    bytes.length);
        }
        return values(header, TestModels.values(header, data));
    }

    private static byte[] read(
            Optional<RegionPool.Place> pool, ModelShard shard, ModelLayout layout) {
        byte[] bytes = new byte[layout.shardBytes(shard.shard())];
        try (RegionPool opened = pool.orElseThrow().open(0)) {
            opened.consume(
                    shard.region().orElseThrow(),
                    memory -> memory.slice(0, bytes.length).get(bytes));
        }
        return bytes;
    }

    /** Somewhere in the middle the operator is restored from a snapshot. */
    private static <OUT> List<OUT> drive(
            Supplier<AggregatorOperator<OUT>> operator, List<AggregatorInput> inputs, Random random)
            throws Exception {
        int restored = random.nextInt(inputs.size() + 1);
        List<OUT> out = new ArrayList<>();
        OperatorSubtaskState snapshot;
        try (var harness = harness(operator)) {
            harness.open();
            for (AggregatorInput input : inputs.subList(0, restored)) {
                harness.processElement(input, 0);
            }
            snapshot = harness.snapshot(1, 1);
            out.addAll(harness.extractOutputValues());
        }
        try (var harness = harness(operator)) {
            harness.initializeState(snapshot);
            harness.open();
            for (AggregatorInput input : inputs.subList(restored, inputs.size())) {
                harness.processElement(input, 0);
            }
            out.addAll(harness.extractOutputValues());
        }
        return out;
    }

    private static <OUT>
            KeyedOneInputStreamOperatorTestHarness<NodeShard, AggregatorInput, OUT> harness(
                    Supplier<AggregatorOperator<OUT>> operator) throws Exception {
        return new KeyedOneInputStreamOperatorTestHarness<>(
                operator.get(), AggregatorOperator.KEY, NodeShard.TYPE);
    }
}
