// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.aggregate;

import io.tributary.memory.kernel.Memory;
import io.tributary.operators.aggregate.AggregatorInput.RoundEnd;
import io.tributary.operators.aggregate.SlotState.Slots;
import io.tributary.operators.model.ModelSpec;
import io.tributary.operators.optimizer.ServerOptimizer;
import io.tributary.operators.optimizer.TensorStep;
import io.tributary.protocol.message.UpdateKind;
import io.tributary.protocol.tensor.DType;
import io.tributary.protocol.tensor.ModelLayout;
import io.tributary.protocol.tensor.ModelLayout.Segment;
import io.tributary.protocol.tensor.TensorSets;
import java.nio.ByteBuffer;
import java.nio.FloatBuffer;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.function.Supplier;

/**
 * Makes one shard of a new model of its sums, in their memory, as the server optimizer says. A run
 * of integers becomes its mean. Not thread-safe.
 */
final class ShardStep {

    private final ModelLayout layout;
    private final ShardMean mean;
    private final UpdateKind kind;
    private final boolean partial;
    private final ServerOptimizer optimizer;

    ShardStep(ModelLayout layout, ModelSpec model, ServerOptimizer optimizer) {
        this.layout = layout;
        this.mean = new ShardMean(layout);
        this.kind = model.kind();
        this.partial = model.updates().partial();
        this.optimizer = optimizer;
    }

    /**
     * What a round has brought for a shard.
     *
     * @param shard which
     * @param sum the unnormalised sums, over which the new elements are written
     * @param weights Σ weights of each run
     * @param end how the round ended
     * @param model the shard of the model that trainers started from; asked for only if needed
     */
    record Sums(int shard, Memory sum, RunWeights weights, RoundEnd end, Supplier<Memory> model) {}

    /**
     * What has become of it.
     *
     * @param flaw why the shard cannot be used; empty where it can
     * @param slots what the optimizer remembers now
     */
    record Made(Optional<String> flaw, Slots slots) {}

    /**
     * Writes the new elements where the sums are.
     *
     * @param slots what the optimizer remembered before
     */
    Made make(Sums sums, Slots slots) {
        Map<String, double[]> changed = new TreeMap<>();
        for (String name : optimizer.slots()) {
            changed.put(name, slots.copy(name, layout.shardLength(sums.shard())));
        }
        Optional<String> flaw = Optional.empty();
        List<Segment> segments = layout.segments(sums.shard());
        for (int s = 0; s < segments.size(); s++) {
            Optional<String> its = make(s, segments.get(s), sums, slots.steps(), changed);
            flaw = flaw.or(() -> its);
        }
        return new Made(flaw, slots.next(changed));
    }

    private Optional<String> make(
            int run, Segment segment, Sums sums, int steps, Map<String, double[]> slots) {
        if (sums.weights().weight(run) == 0) {
            mean.keep(segment, sums.sum(), sums.model().get());
            return Optional.empty();
        }
        return layout.type(segment).floating()
                ? step(run, segment, sums, steps, slots)
                : takeMean(run, segment, sums);
    }

    private Optional<String> takeMean(int run, Segment segment, Sums sums) {
        return mean.write(
                segment,
                sums.sum(),
                sums.weights().weight(run),
                kind == UpdateKind.DELTA ? Optional.of(sums.model().get()) : Optional.empty());
    }

    private Optional<String> step(
            int number, Segment segment, Sums sums, int steps, Map<String, double[]> slots) {
        Run run = new Run(number, segment, sums, steps, slots);
        optimizer.step(run);
        Optional<String> slotFlaw = run.keepSlots();
        Optional<String> flaw =
                run.flaw.orElseThrow(
                        () ->
                                new IllegalStateException(
                                        "%s wrote nothing for tensor '%s'"
                                                .formatted(optimizer, run.tensor())));
        return flaw.or(() -> slotFlaw);
    }

    /** A run of elements while the optimizer works on it. */
    private final class Run implements TensorStep {

        private final int number;
        private final Segment segment;
        private final Sums sums;
        private final int steps;
        private final Map<String, double[]> shardSlots;
        private final Map<String, double[]> runSlots = new TreeMap<>();

        /** Present when something is written; then empty where all elements are finite. */
        private Optional<Optional<String>> flaw = Optional.empty();

        Run(int number, Segment segment, Sums sums, int steps, Map<String, double[]> shardSlots) {
            this.number = number;
            this.segment = segment;
            this.sums = sums;
            this.steps = steps;
            this.shardSlots = shardSlots;
        }

        @Override
        public String tensor() {
            return layout.header().tensors().get(segment.tensor()).name();
        }

        @Override
        public String set() {
            return optimizer.sets().stream()
                    .filter(name -> tensor().startsWith(TensorSets.prefix(name)))
                    .findFirst()
                    .orElse("");
        }

        @Override
        public double weight() {
            return sums.weights().weight(number);
        }

        @Override
        public double total(String name) {
            Double total = sums.end().totals().get(name);
            if (total == null) {
                throw new IllegalStateException(
                        "%s asks for the total '%s', the rule has %s"
                                .formatted(optimizer, name, sums.end().totals().keySet()));
            }
            return total;
        }

        @Override
        public int counted() {
            return partial ? sums.weights().updates(number) : sums.end().counted();
        }

        @Override
        public int trainers() {
            return sums.end().trainers();
        }

        @Override
        public int steps() {
            return steps;
        }

        @Override
        public double[] model() {
            DType type = layout.type(segment);
            ByteBuffer from =
                    sums.model().get().slice(segment.fileAt(), segment.count() * type.bytes());
            double[] values = new double[segment.count()];
            if (type == DType.F32) {
                // Most are: a call for each element would take longer than the optimizer.
                FloatBuffer floats = from.asFloatBuffer();
                for (int i = 0; i < values.length; i++) {
                    values[i] = floats.get(i);
                }
                return values;
            }
            for (int i = 0; i < values.length; i++) {
                values[i] = type.get(from, i * type.bytes());
            }
            return values;
        }

        @Override
        public double[] change() {
            if (flaw.isPresent()) {
                throw new IllegalStateException("the sums are written over already");
            }
            ByteBuffer from = sums.sum().slice(segment.sumAt(), segment.count() * Double.BYTES);
            double[] values = kind == UpdateKind.DELTA ? new double[segment.count()] : model();
            for (int i = 0; i < values.length; i++) {
                values[i] = from.getDouble(i * Double.BYTES) / weight() - values[i];
            }
            return values;
        }

        @Override
        public double[] slot(String name) {
            return runSlots.computeIfAbsent(
                    name,
                    slot -> {
                        double[] whole = shardSlots.get(slot);
                        return segment.count() == whole.length
                                ? whole
                                : Arrays.copyOfRange(
                                        whole, segment.at(), segment.at() + segment.count());
                    });
        }

        /** Keeps what is in the slots; says if that cannot be gone on with. */
        Optional<String> keepSlots() {
            Optional<String> slotFlaw = Optional.empty();
            for (Map.Entry<String, double[]> slot : runSlots.entrySet()) {
                double[] values = slot.getValue();
                double[] whole = shardSlots.get(slot.getKey());
                if (values != whole) {
                    System.arraycopy(values, 0, whole, segment.at(), values.length);
                }
                if (slotFlaw.isEmpty() && !finite(values)) {
                    slotFlaw =
                            Optional.of(
                                    "tensor '%s': the optimizer's slot '%s' would not be finite; its updates' values are too large"
                                            .formatted(tensor(), slot.getKey()));
                }
            }
            return slotFlaw;
        }

        private static boolean finite(double[] values) {
            double sum = 0;
            for (double value : values) {
                // Not a number where one of them is none, or is infinite.
                sum += value * 0;
            }
            return sum == 0;
        }

        @Override
        public void write(double[] elements) {
            flaw = Optional.of(mean.put(segment, sums.sum(), elements));
        }

        @Override
        public void takeMean() {
            flaw = Optional.of(ShardStep.this.takeMean(number, segment, sums));
        }
    }
}
