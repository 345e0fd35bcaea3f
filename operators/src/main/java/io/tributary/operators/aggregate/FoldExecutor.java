// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.aggregate;

import io.tributary.memory.kernel.Columns;
import io.tributary.memory.kernel.FoldKernel;
import io.tributary.memory.kernel.Memory;
import io.tributary.memory.region.OwnedRegion;
import io.tributary.memory.region.RegionMappings;
import io.tributary.memory.region.RegionPool;
import io.tributary.node.PayloadStore;
import io.tributary.operators.aggregate.AggregatorInput.CloseNode;
import io.tributary.operators.aggregate.AggregatorInput.FoldPartial;
import io.tributary.operators.aggregate.AggregatorInput.FoldUpdate;
import io.tributary.operators.clock.Clock;
import io.tributary.operators.model.Quarantine;
import io.tributary.operators.rule.AggregationRule;
import io.tributary.protocol.RejectedException;
import io.tributary.protocol.message.PayloadRef;
import io.tributary.protocol.tensor.DType;
import io.tributary.protocol.tensor.ModelLayout;
import io.tributary.protocol.tensor.ModelLayout.Segment;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicBoolean;
import org.apache.flink.core.memory.DataInputView;
import org.apache.flink.core.memory.DataOutputView;

/** Folds what waits for a node, in the order in which it came. Not thread-safe. */
final class FoldExecutor implements AutoCloseable {

    private final ModelLayout layout;
    private final PayloadStore regions;
    private final FoldedUpdates updates;
    private final Optional<RegionPool> pool;
    private final SumMemory sums;
    private final AtomicBoolean closed = new AtomicBoolean();
    private final FoldKernel kernel = FoldKernel.best();
    private final Columns columns = new Columns();
    private final List<OwnedRegion> partials = new ArrayList<>(Columns.MAX);

    /** Updates that are to be folded now, and beside each what is mapped of it. */
    private final List<FoldUpdate> folding = new ArrayList<>(Columns.MAX);

    private final List<MappedUpdateCache.Update> open = new ArrayList<>(Columns.MAX);

    FoldExecutor(
            ModelLayout layout,
            PayloadStore regions,
            Quarantine quarantine,
            Optional<RegionPool> pool,
            ManagedMemory managed,
            Clock clock) {
        this.layout = layout;
        this.regions = regions;
        this.updates = new FoldedUpdates(layout, regions, quarantine, clock);
        this.pool = pool;
        this.sums = new SumMemory(pool, managed);
    }

    /** Nothing yet. */
    LiveAccumulator nothing(int shard) {
        return new LiveAccumulator(new RunWeights(layout.segments(shard).size()));
    }

    /** What an earlier version's checkpoint remembers, to be gone on with. */
    LiveAccumulator restore(int shard, NodeAccumulator accumulator) {
        LiveAccumulator fold =
                new LiveAccumulator(
                        RunWeights.same(
                                layout.segments(shard).size(),
                                accumulator.weight(),
                                accumulator.contributions()));
        if (accumulator.sum().length > 0) {
            fold.sum =
                    Optional.of(
                            sums.of(
                                    accumulator.earlier()
                                            ? EarlierSums.convert(layout, shard, accumulator.sum())
                                            : accumulator.sum()));
        }
        fold.contributions = accumulator.contributions();
        fold.close = accumulator.close();
        return fold;
    }

    /** Writes what a checkpoint is to remember; nothing may wait. */
    void write(int shard, LiveAccumulator fold, DataOutputView out) throws IOException {
        fold.weights.write(out);
        out.writeInt(fold.contributions);
        out.writeBoolean(fold.close.isPresent());
        if (fold.close.isPresent()) {
            AggregatorInputSerializer.INSTANCE.serialize(fold.close.get(), out);
        }
        out.writeBoolean(fold.sum.isPresent());
        if (fold.sum.isPresent()) {
            fold.sum.get().write(layout.sumBytes(shard), out);
        }
    }

    /**
     * Reads what {@link #write} wrote.
     *
     * @param version of {@link AccumulatorState}
     */
    LiveAccumulator read(int shard, int version, DataInputView in) throws IOException {
        boolean one = version == AccumulatorState.ONE_WEIGHT;
        double weight = one ? in.readDouble() : 0;
        RunWeights weights = one ? new RunWeights(0) : RunWeights.read(in);
        int contributions = in.readInt();
        LiveAccumulator fold =
                new LiveAccumulator(
                        one
                                ? RunWeights.same(
                                        layout.segments(shard).size(), weight, contributions)
                                : weights);
        fold.contributions = contributions;
        if (in.readBoolean()) {
            fold.close =
                    Optional.of((CloseNode) AggregatorInputSerializer.INSTANCE.deserialize(in));
        }
        if (in.readBoolean()) {
            fold.sum = Optional.of(sums.take(layout.sumBytes(shard)));
            try {
                fold.sum.get().read(layout.sumBytes(shard), in);
            } catch (IOException | RuntimeException e) {
                discard(fold);
                throw e;
            }
        }
        return fold;
    }

    /**
     * Folds all that waits, at most {@link Columns#MAX}.
     *
     * @return bytes of updates and partial sums read
     */
    long flush(int shard, LiveAccumulator fold) {
        long bytes = 0;
        // By index here and below: an iterator for each fold would be garbage for each fold.
        for (int i = 0; i < fold.waiting.size(); i++) {
            AggregatorInput input = fold.waiting.get(i);
            if (input instanceof FoldUpdate update) {
                open.add(updates.open(update, shard));
                folding.add(update);
            } else if (input instanceof FoldPartial partial) {
                bytes += take(partial.sum(), shard, fold);
                fold.weights.add(partial.weights());
            }
        }
        if (!partials.isEmpty()) {
            bytes += addPartials(shard, fold);
        }
        if (!open.isEmpty()) {
            bytes += foldOpen(shard, fold);
        }
        open.clear();
        folding.clear();
        fold.contributions += fold.waiting.size();
        fold.waiting.clear();
        return bytes;
    }

    /**
     * Aggregates all that waits at once. The result stands as a sum of weight 1.
     *
     * @return bytes of updates read
     */
    long gather(int shard, LiveAccumulator fold, AggregationRule.Gathering rule) {
        return new Gathering(layout, updates, rule).gather(shard, fold, sum(shard, fold));
    }

    /** The memory of a fold's sum, all zero where there is nothing in it. */
    Memory sum(int shard, LiveAccumulator fold) {
        if (fold.sum.isEmpty()) {
            fold.sum = Optional.of(sums.zero(layout.sumBytes(shard)));
        }
        return fold.sum.get().memory();
    }

    /** Adds what is open, in the order in which it came. */
    private long foldOpen(int shard, LiveAccumulator fold) {
        List<Segment> segments = layout.segments(shard);
        // Memory that held something else is only taken where each run is written.
        boolean fresh = fold.sum.isEmpty() && allWritten(segments);
        if (fresh) {
            fold.sum = Optional.of(sums.take(layout.sumBytes(shard)));
        }
        Memory sum = sum(shard, fold);
        long bytes = 0;
        long faults = RegionMappings.faults();
        for (int s = 0; s < segments.size(); s++) {
            Segment segment = segments.get(s);
            DType type = layout.type(segment);
            columns.clear();
            for (int i = 0; i < open.size(); i++) {
                MappedUpdateCache.Update update = open.get(i);
                if (!update.has(segment)) {
                    continue;
                }
                double weight =
                        type.floating() ? folding.get(i).weight() : folding.get(i).samples();
                columns.add(update.file().mapped(), update.offset(segment), weight);
                fold.weights.add(s, weight, 1);
            }
            if (columns.size() == 0) {
                continue;
            }
            boolean finite =
                    kernel.fold(type, columns, sum, segment.sumAt(), fresh, segment.count());
            if (!finite) {
                requireFinite(segment);
            }
            bytes += (long) segment.count() * type.bytes() * columns.size();
        }
        if (RegionMappings.faults() > faults) {
            requireUndamaged();
        }
        return bytes;
    }

    /** Whether each run is in one of the updates at least. */
    private boolean allWritten(List<Segment> segments) {
        for (int s = 0; s < segments.size(); s++) {
            boolean written = false;
            for (int i = 0; i < open.size() && !written; i++) {
                written = open.get(i).has(segments.get(s));
            }
            if (!written) {
                return false;
            }
        }
        return true;
    }

    /**
     * A sum is not finite. Where that is because an update is not, nothing has left yet that holds
     * it: its trainer is written down, and the last checkpoint does better. Where none is, the sum
     * stays so, and the round is rejected at the top: finite F64 values may have such a sum.
     */
    private void requireFinite(Segment segment) {
        Optional<RejectedException> found = Optional.empty();
        for (int i = 0; i < open.size(); i++) {
            boolean has = open.get(i).has(segment);
            if (has
                    && !kernel.finite(
                            layout.type(segment),
                            open.get(i).file().mapped(),
                            open.get(i).offset(segment),
                            segment.count())) {
                found = Optional.of(updates.notFinite(folding.get(i)));
            }
        }
        if (found.isPresent()) {
            throw found.get();
        }
    }

    private void requireUndamaged() {
        if (open.stream().anyMatch(o -> RegionMappings.damaged(o.file().mapped()))) {
            throw FoldedUpdates.truncated();
        }
    }

    /** Adds a partial sum, or puts it to those that are added together. */
    private long take(PartialSum partial, int shard, LiveAccumulator fold) {
        if (partial instanceof PartialSum.Inline values) {
            ShardSum copy = sums.of(values.sum());
            if (fold.sum.isEmpty()) {
                fold.sum = Optional.of(copy);
            } else {
                add(copy.memory(), shard, fold);
                sums.giveBack(copy);
            }
            return layout.sumBytes(shard);
        }
        PayloadRef payload = ((PartialSum.InRegion) partial).payload();
        Optional<OwnedRegion> own =
                regions.elsewhere(payload) ? Optional.empty() : pool.flatMap(p -> p.find(payload));
        if (own.isEmpty()) {
            int length = layout.sumBytes(shard);
            regions.consume(
                    pool.orElseThrow(), payload, length, memory -> add(memory, shard, fold));
            return length;
        }
        if (fold.sum.isEmpty()) {
            fold.sum = Optional.of(new ShardSum(own.get().memory(), own));
        } else {
            partials.add(own.get());
        }
        return 0;
    }

    private long addPartials(int shard, LiveAccumulator fold) {
        Memory sum = fold.sum.orElseThrow().memory();
        for (Segment segment : layout.segments(shard)) {
            if (layout.type(segment).floating()) {
                columns.clear();
                partials.forEach(p -> columns.add(p.memory(), segment.sumAt(), 1));
                kernel.fold(DType.F64, columns, sum, segment.sumAt(), false, segment.count());
            } else {
                partials.forEach(p -> add(segment, p.memory(), sum));
            }
        }
        long bytes = (long) partials.size() * layout.sumBytes(shard);
        partials.forEach(pool.orElseThrow()::giveBack);
        partials.clear();
        return bytes;
    }

    private void add(Memory from, int shard, LiveAccumulator fold) {
        Memory sum = sum(shard, fold);
        layout.segments(shard).forEach(segment -> add(segment, from, sum));
    }

    private void add(Segment segment, Memory from, Memory sum) {
        kernel.add(layout.type(segment), from, sum, segment.sumAt(), segment.count());
    }

    /** The sum of a closed node, to be sent to its parent; the fold is not used any more. */
    PartialSum detachSum(int shard, LiveAccumulator fold) {
        sum(shard, fold);
        return detachSum(fold, layout.sumBytes(shard));
    }

    /**
     * What stands in the memory of a fold's sum; the fold is not used any more.
     *
     * @param bytes how many of them count
     */
    PartialSum detachSum(LiveAccumulator fold, int bytes) {
        ShardSum sum = fold.sum.orElseThrow();
        if (sum.region().isPresent()) {
            fold.sum = Optional.empty();
            return new PartialSum.InRegion(publish(sum.region().get()));
        }
        byte[] copy = sum.copy(bytes);
        discard(fold);
        return new PartialSum.Inline(copy);
    }

    private PayloadRef publish(OwnedRegion region) {
        region.publish("{}");
        return regions.shared(region.payload());
    }

    /** The fold is not used any more. */
    void discard(LiveAccumulator fold) {
        fold.sum.ifPresent(sums::giveBack);
        fold.sum = Optional.empty();
    }

    /** Lets go of updates that nobody folds any more. */
    void evictIdle() {
        updates.evictIdle();
    }

    @Override
    public void close() {
        updates.close();
        sums.close();
        // Each subtask that opened the pool closes it once.
        if (closed.compareAndSet(false, true)) {
            pool.ifPresent(RegionPool::close);
        }
    }
}
