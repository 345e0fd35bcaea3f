// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.aggregate;

import io.tributary.memory.kernel.AdaptiveStep;
import io.tributary.memory.kernel.FoldKernel;
import io.tributary.memory.kernel.Memory;
import io.tributary.memory.kernel.PrivateMemory;
import io.tributary.operators.aggregate.AggregatorInput.RoundEnd;
import io.tributary.operators.aggregate.SlotState.Changes;
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
import java.nio.DoubleBuffer;
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

    private static final long EXPONENT = 0x7FF0000000000000L;

    /** What the work arrays hold. */
    private static final int START = 0;

    private static final int MODEL = 1;
    private static final int CHANGE = 2;

    private final ModelLayout layout;
    private final ShardMean mean;
    private final UpdateKind kind;
    private final boolean partial;
    private final ServerOptimizer optimizer;
    private final double[][] work = new double[3][0];
    private final FoldKernel kernel = FoldKernel.best();
    private final PrivateMemory moments = new PrivateMemory(2 * Slots.CHUNK * Double.BYTES);
    private float[] narrow = new float[0];

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
     * @param spare what it need not remember any longer; its memory is used
     */
    Made make(Sums sums, Slots slots, Slots spare) {
        Changes changed = slots.change(optimizer, layout.shardLength(sums.shard()), spare);
        Optional<String> flaw = Optional.empty();
        List<Segment> segments = layout.segments(sums.shard());
        for (int s = 0; s < segments.size(); s++) {
            Optional<String> its = make(s, segments.get(s), sums, slots.steps(), changed);
            flaw = flaw.or(() -> its);
        }
        return new Made(flaw, changed.done());
    }

    private Optional<String> make(
            int number, Segment segment, Sums sums, int steps, Changes slots) {
        if (sums.weights().weight(number) == 0) {
            mean.keep(segment, sums.sum(), sums.model().get());
            return Optional.empty();
        }
        if (!layout.type(segment).floating()) {
            return takeMean(number, segment, sums);
        }
        Optional<String> flaw = Optional.empty();
        for (int from = 0; from < segment.count(); ) {
            Segment block = block(segment, from);
            Optional<String> its = step(number, block, sums, steps, slots);
            flaw = flaw.or(() -> its);
            from += block.count();
        }
        return flaw;
    }

    /** As much of a run as is in one chunk of the slots, and in the caches. */
    private Segment block(Segment segment, int from) {
        int at = segment.at() + from;
        int count = Math.min(Slots.CHUNK - at % Slots.CHUNK, segment.count() - from);
        DType type = layout.type(segment);
        return new Segment(
                segment.tensor(),
                segment.from() + from,
                count,
                at,
                segment.fileAt() + from * type.bytes(),
                segment.sumAt() + from * type.sumBytes());
    }

    private Optional<String> takeMean(int run, Segment segment, Sums sums) {
        return mean.write(
                segment,
                sums.sum(),
                sums.weights().weight(run),
                kind == UpdateKind.DELTA ? Optional.of(sums.model().get()) : Optional.empty());
    }

    private Optional<String> step(
            int number, Segment segment, Sums sums, int steps, Changes slots) {
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
        private final Changes shardSlots;
        private final Map<String, double[]> runSlots = new TreeMap<>();

        private boolean started;
        private boolean slotsFinite;

        /** Present when something is written; then empty where all elements are finite. */
        private Optional<Optional<String>> flaw = Optional.empty();

        Run(int number, Segment segment, Sums sums, int steps, Changes shardSlots) {
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
            System.arraycopy(start(), 0, sized(MODEL), 0, segment.count());
            return sized(MODEL);
        }

        /** The elements that trainers started from, read once. */
        private double[] start() {
            double[] values = sized(START);
            if (started) {
                return values;
            }
            started = true;
            DType type = layout.type(segment);
            ByteBuffer from =
                    sums.model().get().slice(segment.fileAt(), segment.count() * type.bytes());
            if (type == DType.F32) {
                // Most are: a call for each element would take longer than the optimizer.
                if (narrow.length != values.length) {
                    narrow = new float[values.length];
                }
                from.asFloatBuffer().get(narrow);
                for (int i = 0; i < values.length; i++) {
                    values[i] = narrow[i];
                }
                return values;
            }
            for (int i = 0; i < values.length; i++) {
                values[i] = type.get(from, i * type.bytes());
            }
            return values;
        }

        /** An array of this block's length, which the next block uses again. */
        private double[] sized(int which) {
            if (work[which].length != segment.count()) {
                work[which] = new double[segment.count()];
            }
            return work[which];
        }

        @Override
        public double[] change() {
            if (flaw.isPresent()) {
                throw new IllegalStateException("the sums are written over already");
            }
            double[] values = sized(CHANGE);
            sums.sum()
                    .slice(segment.sumAt(), segment.count() * Double.BYTES)
                    .asDoubleBuffer()
                    .get(values);
            double weight = weight();
            if (kind == UpdateKind.DELTA) {
                for (int i = 0; i < values.length; i++) {
                    values[i] /= weight;
                }
                return values;
            }
            double[] start = start();
            for (int i = 0; i < values.length; i++) {
                values[i] = values[i] / weight - start[i];
            }
            return values;
        }

        @Override
        public double[] slot(String name) {
            return runSlots.computeIfAbsent(
                    name,
                    slot -> {
                        double[] chunk = shardSlots.change(slot, chunk());
                        int at = segment.at() % Slots.CHUNK;
                        return segment.count() == chunk.length
                                ? chunk
                                : Arrays.copyOfRange(chunk, at, at + segment.count());
                    });
        }

        /** Which chunk of each slot the block is in. */
        private int chunk() {
            return segment.at() / Slots.CHUNK;
        }

        /** Keeps what is in the slots; says if that cannot be gone on with. */
        Optional<String> keepSlots() {
            Optional<String> slotFlaw = Optional.empty();
            for (Map.Entry<String, double[]> slot : runSlots.entrySet()) {
                double[] values = slot.getValue();
                double[] chunk = shardSlots.change(slot.getKey(), chunk());
                if (values != chunk) {
                    System.arraycopy(values, 0, chunk, segment.at() % Slots.CHUNK, values.length);
                }
                if (!slotsFinite && slotFlaw.isEmpty() && !finite(values)) {
                    slotFlaw =
                            Optional.of(
                                    "tensor '%s': the optimizer's slot '%s' would not be finite; its updates' values are too large"
                                            .formatted(tensor(), slot.getKey()));
                }
            }
            return slotFlaw;
        }

        /** One more in an exponent of all ones carries into the sign. */
        private static boolean finite(double[] values) {
            long bad = 0;
            for (double value : values) {
                bad |= (Double.doubleToRawLongBits(value) & EXPONENT) + (Long.MIN_VALUE - EXPONENT);
            }
            return bad >= 0;
        }

        @Override
        public void adapt(AdaptiveStep step, String m, String v) {
            if (layout.type(segment) != DType.F32) {
                TensorStep.super.adapt(step, m, v);
                return;
            }
            int count = segment.count();
            boolean whole = count == shardSlots.read(m, chunk()).length;
            DoubleBuffer both = moments.slice(0, 2 * count * Double.BYTES).asDoubleBuffer();
            both.put(whole ? shardSlots.read(m, chunk()) : slot(m));
            both.put(whole ? shardSlots.read(v, chunk()) : slot(v));
            boolean finite =
                    kernel.adapt(
                            step,
                            ShardMean.run(segment, sums.sum(), weight(), sums.model().get()),
                            kind == UpdateKind.WEIGHTS,
                            moments);
            both.flip();
            both.get(whole ? shardSlots.overwrite(m, chunk()) : slot(m));
            both.get(whole ? shardSlots.overwrite(v, chunk()) : slot(v));
            if (!finite) {
                // Read again, so that it is said which of them is not.
                slot(m);
                slot(v);
            }
            slotsFinite = finite;
            flaw = Optional.of(finite ? Optional.empty() : mean.finite(segment, sums.sum()));
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
