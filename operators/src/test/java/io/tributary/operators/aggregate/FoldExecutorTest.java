// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.aggregate;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import com.sun.management.ThreadMXBean;
import io.tributary.memory.guard.MemoryGuard;
import io.tributary.memory.kernel.Columns;
import io.tributary.node.PayloadStore;
import io.tributary.operators.aggregate.AggregatorInput.FoldPartial;
import io.tributary.operators.aggregate.AggregatorInput.FoldUpdate;
import io.tributary.operators.clock.Clock;
import io.tributary.operators.model.PosixModelStore;
import io.tributary.operators.model.Quarantine;
import io.tributary.operators.testutils.TestModels;
import io.tributary.protocol.RejectReason;
import io.tributary.protocol.RejectedException;
import io.tributary.protocol.message.RoundId;
import io.tributary.protocol.message.UpdateKind;
import io.tributary.protocol.tensor.DType;
import io.tributary.protocol.tensor.ModelLayout;
import io.tributary.protocol.tensor.SafetensorsHeader;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import org.apache.flink.core.memory.DataInputDeserializer;
import org.apache.flink.core.memory.DataOutputSerializer;
import org.apache.flink.runtime.memory.MemoryManager;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class FoldExecutorTest {

    private static final RoundId ROUND = new RoundId(1, 0);
    private static final int ELEMENTS = 1000;

    @TempDir Path temp;

    private final SafetensorsHeader header =
            TestModels.header(
                    SafetensorsHeader.tensor("a", DType.F32, 600),
                    SafetensorsHeader.tensor("b", DType.F32, ELEMENTS - 600));
    private final Random random = new Random(7);
    private final MemoryManager memory = MemoryManager.create(1 << 20, 4096);

    private ModelLayout layout;
    private FoldExecutor executor;

    @BeforeEach
    void open() {
        layout =
                TestModels.spec(
                                TestModels.write(temp.resolve("model"), header, 1),
                                ELEMENTS,
                                UpdateKind.WEIGHTS)
                        .layout();
        executor =
                new FoldExecutor(
                        layout,
                        PayloadStore.Place.NONE.open(),
                        new Quarantine(PosixModelStore.at(temp.resolve("models"))),
                        Optional.empty(),
                        new ManagedMemory(memory),
                        Clock.SYSTEM);
    }

    @AfterEach
    void close() {
        executor.close();
        assertThat(memory.verifyEmpty()).as("all memory is given back").isTrue();
    }

    private FoldUpdate update(String trainer, long weight, double[] values) {
        int[] at = {0};
        Path file = TestModels.write(temp.resolve(trainer), header, () -> values[at[0]++]);
        return new FoldUpdate("leaf", 0, ROUND, TestModels.payload(file), weight, trainer, false);
    }

    private double[] values() {
        return random.doubles(ELEMENTS).map(value -> (float) (value - 0.5)).toArray();
    }

    private List<AggregatorInput> updates(int count, double[] sum) {
        List<AggregatorInput> updates = new ArrayList<>();
        for (int u = 0; u < count; u++) {
            double[] values = values();
            long weight = 1 + random.nextInt(1000);
            for (int i = 0; i < ELEMENTS; i++) {
                sum[i] += weight * values[i];
            }
            updates.add(update("t-" + u, weight, values));
        }
        return updates;
    }

    /** As a checkpoint would bring it back. */
    private LiveAccumulator copy(LiveAccumulator fold) throws IOException {
        DataOutputSerializer out = new DataOutputSerializer(64);
        executor.write(0, fold, out);
        return executor.read(0, 2, new DataInputDeserializer(out.getCopyOfBuffer()));
    }

    private double[] detachSum(LiveAccumulator fold) {
        return TestSums.values(layout, 0, executor.detachSum(0, fold));
    }

    @Test
    void allThatWaitsIsInTheSumToTheLastBit() {
        double[] sum = new double[ELEMENTS];
        LiveAccumulator fold = executor.nothing(0);
        fold.waiting.addAll(updates(5, sum));
        assertThat(executor.flush(0, fold)).isEqualTo(5L * ELEMENTS * Float.BYTES);
        fold.waiting.addAll(updates(3, sum));
        executor.flush(0, fold);
        assertThat(fold.waiting).isEmpty();
        assertThat(fold.contributions).isEqualTo(8);
        assertThat(detachSum(fold)).containsExactly(sum);
    }

    @Test
    void aRestoredFoldGoesOnFromItsSnapshot() throws IOException {
        double[] sum = new double[ELEMENTS];
        LiveAccumulator fold = executor.nothing(0);
        fold.waiting.addAll(updates(3, sum));
        executor.flush(0, fold);
        double weight = fold.weights.weight(0);
        LiveAccumulator restored = copy(fold);
        assertThat(restored.weights.weight(0)).isEqualTo(weight);
        assertThat(restored.contributions).isEqualTo(3);
        fold.waiting.addAll(updates(1, new double[ELEMENTS]));
        executor.flush(0, fold);
        executor.discard(fold);
        restored.waiting.addAll(updates(4, sum));
        executor.flush(0, restored);
        assertThat(detachSum(restored)).containsExactly(sum);
    }

    @Test
    void partialSumsAreAddedBesideUpdates() {
        double[] sum = new double[ELEMENTS];
        LiveAccumulator fold = executor.nothing(0);
        for (int child = 0; child < 2; child++) {
            double[] partial = values();
            for (int i = 0; i < ELEMENTS; i++) {
                sum[i] += partial[i];
            }
            fold.waiting.add(
                    new FoldPartial(
                            "leaf",
                            0,
                            ROUND,
                            RunWeights.same(layout.segments(0).size(), 3, 1),
                            TestSums.of(layout, 0, partial)));
        }
        fold.waiting.addAll(updates(2, sum));
        executor.flush(0, fold);
        assertThat(fold.contributions).isEqualTo(4);
        assertThat(detachSum(fold)).containsExactly(sum);
    }

    @Test
    void anUpdateThatIsNotFiniteIsNamedInTheQuarantine() throws IOException {
        double[] values = values();
        values[700] = Double.NaN;
        LiveAccumulator fold = executor.nothing(0);
        fold.waiting.addAll(updates(2, new double[ELEMENTS]));
        fold.waiting.add(update("liar", 1, values));
        assertThatThrownBy(() -> executor.flush(0, fold))
                .isInstanceOfSatisfying(
                        RejectedException.class,
                        e -> assertThat(e.reason()).isEqualTo(RejectReason.NOT_FINITE));
        assertThat(new Quarantine(PosixModelStore.at(temp.resolve("models"))).read().keySet())
                .containsExactly("liar");
        executor.discard(fold);
    }

    /** Neither for an update nor for a shard, so that the garbage collector has nothing to do. */
    @Test
    void foldingAllocatesNothing() {
        assumeTrue(MemoryGuard.install(), "no native code; the kernel in Java makes views");
        List<AggregatorInput> updates = updates(Columns.MAX, new double[ELEMENTS]);
        LiveAccumulator fold = executor.nothing(0);
        ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
        int folds = 2000;
        long least = Long.MAX_VALUE;
        // As long as the JVM's compilers are at work, the interpreter allocates for itself.
        for (int attempt = 0; attempt < 60 && least > 0; attempt++) {
            long before = threads.getCurrentThreadAllocatedBytes();
            for (int i = 0; i < folds; i++) {
                for (int u = 0; u < updates.size(); u++) {
                    fold.waiting.add(updates.get(u));
                }
                executor.flush(0, fold);
            }
            least = Math.min(least, threads.getCurrentThreadAllocatedBytes() - before);
        }
        executor.discard(fold);
        assertThat(least / (double) folds).as("bytes of a fold of eight").isLessThan(1);
    }
}
