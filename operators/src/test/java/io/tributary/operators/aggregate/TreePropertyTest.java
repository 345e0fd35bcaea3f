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
import io.tributary.protocol.message.TrainerEvent;
import io.tributary.protocol.message.UpdateKind;
import io.tributary.protocol.tensor.DType;
import io.tributary.protocol.tensor.ModelLayout;
import io.tributary.protocol.tensor.SafetensorsHeader;
import io.tributary.protocol.topology.Topology;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.stream.Stream;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import net.jqwik.api.constraints.LongRange;
import net.jqwik.api.constraints.Size;
import net.jqwik.api.lifecycle.AfterTry;
import net.jqwik.api.lifecycle.BeforeTry;
import org.apache.flink.streaming.util.KeyedOneInputStreamOperatorTestHarness;

/** Eager equals lazy equals the flat weighted mean, for any tree, order and weights. */
class TreePropertyTest {

    private static final SafetensorsHeader HEADER =
            TestModels.header(
                    SafetensorsHeader.tensor("a", DType.F32, 4, 5),
                    SafetensorsHeader.tensor("b", DType.F64, 3),
                    SafetensorsHeader.tensor("c", DType.F32, 6));

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

    @Property(tries = 40)
    void eagerEqualsLazyEqualsTheFlatMean(
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
        Path model = TestModels.write(temp.resolve("model"), HEADER, seed);
        List<Path> updates = new ArrayList<>();
        for (int i = 0; i < weights.size(); i++) {
            updates.add(TestModels.write(temp.resolve("u" + i), HEADER, seed + i + 1));
        }

        double[] eager =
                run(
                        topology,
                        model,
                        updates,
                        weights,
                        shardElements,
                        Timing.EAGER,
                        seed,
                        Optional.empty());
        double[] lazy;
        RegionPool.Place place =
                new RegionPool.Place("job", temp.resolve("regions").toString(), 1L << 28);
        // Held, as the level that comes next holds it in a job.
        try (RegionPool held = place.open(0)) {
            lazy =
                    run(
                            topology,
                            model,
                            updates,
                            weights,
                            shardElements,
                            Timing.LAZY,
                            ~seed,
                            Optional.of(place));
        }

        double[] mean = new double[eager.length];
        double total = weights.stream().mapToLong(Long::longValue).sum();
        for (int u = 0; u < updates.size(); u++) {
            double[] values = TestModels.values(updates.get(u));
            for (int i = 0; i < mean.length; i++) {
                mean[i] += weights.get(u) * values[i] / total;
            }
        }
        for (int i = 0; i < mean.length; i++) {
            // Half a unit in the last place of a float32 at the values' magnitude.
            double tolerance = Math.max(1e-12, Math.ulp((float) mean[i]));
            assertThat(eager[i]).isBetween(mean[i] - tolerance, mean[i] + tolerance);
            assertThat(lazy[i]).isBetween(mean[i] - tolerance, mean[i] + tolerance);
        }
    }

    private double[] run(
            Topology topology,
            Path model,
            List<Path> updates,
            List<Long> weights,
            int shardElements,
            Timing timing,
            long seed,
            Optional<RegionPool.Place> pool)
            throws Exception {
        ModelSpec spec = TestModels.spec(model, shardElements, UpdateKind.WEIGHTS);
        int trainers = updates.size();
        RoundRules rules =
                new RoundRules(
                        1,
                        new RoundRules.Quorum(trainers, trainers),
                        new RoundRules.Patience(Duration.ZERO, Duration.ZERO, Duration.ofHours(1)),
                        new RoundRules.Folding(timing, UpdateKind.WEIGHTS, Algorithm.FEDAVG, true),
                        Map.of(),
                        RoundRules.Limits.DEFAULT);
        Random random = new Random(seed);
        List<Integer> order = new ArrayList<>();
        int levels = topology.nodes().size();
        List<List<AggregatorInput>> inputs = new ArrayList<>();
        try (CoordinatorHarness coordinator = new CoordinatorHarness(topology, rules, spec)) {
            for (int i = 0; i < trainers; i++) {
                List<String> tags = topology.trainerGroups();
                coordinator.join("t" + i, tags.get(random.nextInt(tags.size())));
                order.add(i);
            }
            Collections.shuffle(order, random);
            for (int i : order) {
                coordinator.send(
                        new TrainerEvent.UpdateStaged(
                                CoordinatorHarness.claim(
                                        "t" + i,
                                        1,
                                        0,
                                        weights.get(i),
                                        i,
                                        TestModels.payload(updates.get(i)))));
            }
            for (int level = 0; level < levels; level++) {
                inputs.add(new ArrayList<>(coordinator.commands(level)));
            }
        }
        for (int level = 0; level < levels - 1; level++) {
            List<AggregatorInput> partials =
                    drive(
                            new PartialSumOperator(
                                    spec,
                                    PosixModelStore.at(model.resolveSibling("models")),
                                    PayloadStore.Place.NONE,
                                    pool,
                                    Clock.SYSTEM),
                            inputs.get(level));
            // Closes and partial sums come by different channels, in any order.
            inputs.get(level + 1).addAll(partials);
            Collections.shuffle(inputs.get(level + 1), random);
        }
        ModelLayout layout = spec.layout();
        byte[] data = new byte[(int) (HEADER.fileLength() - HEADER.dataOffset())];
        List<ModelShard> shards =
                drive(
                        new TopOperator(
                                spec,
                                PosixModelStore.at(model.resolveSibling("models")),
                                PayloadStore.Place.NONE,
                                pool,
                                Algorithm.FEDAVG,
                                Clock.SYSTEM),
                        inputs.get(levels - 1));
        assertThat(shards).hasSize(layout.shards());
        for (ModelShard shard : shards) {
            byte[] bytes = shard.region().isPresent() ? read(pool, shard, layout) : shard.bytes();
            System.arraycopy(
                    bytes,
                    0,
                    data,
                    (int) (layout.fileOffset(shard.shard()) - HEADER.dataOffset()),
                    bytes.length);
        }
        return TestModels.values(HEADER, data);
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

    private static <OUT> List<OUT> drive(
            AggregatorOperator<OUT> function, List<AggregatorInput> inputs) throws Exception {
        try (var harness =
                new KeyedOneInputStreamOperatorTestHarness<>(
                        function, AggregatorOperator.KEY, NodeShard.TYPE)) {
            harness.open();
            for (AggregatorInput input : inputs) {
                harness.processElement(input, 0);
            }
            return harness.extractOutputValues();
        }
    }
}
