// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.aggregate;

import io.tributary.operators.aggregate.AggregatorInput.FoldPartial;
import io.tributary.operators.aggregate.AggregatorInput.FoldUpdate;
import io.tributary.operators.aggregate.FloatKernel.Weighted;
import io.tributary.protocol.RejectReason;
import io.tributary.protocol.RejectedException;
import io.tributary.protocol.message.PayloadRef;
import io.tributary.protocol.tensor.DType;
import io.tributary.protocol.tensor.Elements;
import io.tributary.protocol.tensor.ModelLayout;
import io.tributary.protocol.tensor.ModelLayout.Segment;
import io.tributary.protocol.tensor.TensorInfo;
import io.tributary.shm.node.RegionAccess;
import io.tributary.shm.region.MappedFile;
import io.tributary.shm.region.OwnedRegion;
import io.tributary.shm.region.RegionMappings;
import io.tributary.shm.region.RegionPool;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.DoubleBuffer;
import java.nio.FloatBuffer;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.atomic.AtomicBoolean;

/**
 * Folds what waits for a node. Where there is a pool of regions, F32, F16 and BF16 tensors are
 * summed in float32 by the BLAS, all that wait at once, and now and then added to a float64 sum;
 * the others, and all where there is none, are summed in float64 right away. Not thread-safe.
 */
final class Folder implements AutoCloseable {

    private static final Set<DType> NARROW = EnumSet.of(DType.F32, DType.F16, DType.BF16);
    private static final int BLOCK = 4096;

    private final ModelLayout layout;
    private final RegionAccess regions;
    private final OpenUpdates updates;
    private final Optional<RegionPool> pool;
    private final AtomicBoolean closed = new AtomicBoolean();
    private final FloatBuffer block;
    private final long blockAddress;

    Folder(ModelLayout layout, RegionAccess regions, Optional<RegionPool> pool) {
        this.layout = layout;
        this.regions = regions;
        this.updates = new OpenUpdates(layout, regions);
        this.pool = pool;
        ByteBuffer bytes =
                ByteBuffer.allocateDirect(BLOCK * Float.BYTES).order(ByteOrder.nativeOrder());
        this.block = bytes.asFloatBuffer();
        // The BLAS is only there where it is used.
        this.blockAddress = pool.isPresent() ? FloatKernel.address(bytes) : 0;
    }

    /**
     * Folds all that waits.
     *
     * @return bytes of updates and partial sums read
     */
    long settle(int shard, NodeFold fold) {
        long bytes = 0;
        List<FoldUpdate> arrived = new ArrayList<>();
        for (AggregatorInput input : fold.waiting) {
            if (input instanceof FoldUpdate update) {
                arrived.add(update);
                fold.weight += update.weight();
            } else if (input instanceof FoldPartial partial) {
                bytes += add(partial.sum(), layout.shardLength(shard), fold);
                fold.weight += partial.weight();
            }
        }
        if (!arrived.isEmpty()) {
            bytes += add(shard, arrived, fold);
        }
        fold.contributions += fold.waiting.size();
        fold.waiting.clear();
        fold.changed = true;
        spillIfExhausted(shard, fold);
        return bytes;
    }

    private long add(int shard, List<FoldUpdate> arrived, NodeFold fold) {
        long bytes = 0;
        int rounded = 0;
        long faults = RegionMappings.faults();
        List<OpenUpdates.Update> open = new ArrayList<>();
        for (FoldUpdate update : arrived) {
            open.add(updates.get(update.payload(), shard));
        }
        if (pool.isPresent() && hasNarrow(shard)) {
            admit(
                    arrived.stream().mapToDouble(u -> (double) u.weight() * u.bound()).sum(),
                    shard,
                    fold);
        }
        for (Segment segment : layout.segments(shard)) {
            DType type = layout.header().tensors().get(segment.tensor()).dtype();
            bytes += (long) segment.count() * type.bytes() * arrived.size();
            Optional<FloatSum> narrow = NARROW.contains(type) ? fold.narrow : Optional.empty();
            if (narrow.isPresent() && type != DType.F32) {
                for (int i = 0; i < arrived.size(); i++) {
                    ByteBuffer elements =
                            open.get(i)
                                    .file()
                                    .elements(
                                            open.get(i).tensors().get(segment.tensor()),
                                            segment.from(),
                                            segment.count());
                    widen(
                            type,
                            elements,
                            narrow.get().factor(arrived.get(i).weight()),
                            narrow.get(),
                            segment);
                }
                rounded = Math.max(rounded, arrived.size());
                continue;
            }
            if (narrow.isPresent()) {
                Weighted[] vectors = new Weighted[arrived.size()];
                for (int i = 0; i < vectors.length; i++) {
                    OpenUpdates.Update update = open.get(i);
                    TensorInfo tensor = update.tensors().get(segment.tensor());
                    vectors[i] =
                            new Weighted(
                                    update.address(tensor, segment.from()),
                                    narrow.get().factor(arrived.get(i).weight()));
                }
                rounded =
                        Math.max(rounded, narrow.get().add(vectors, segment.at(), segment.count()));
                continue;
            }
            for (int i = 0; i < arrived.size(); i++) {
                OpenUpdates.Update update = open.get(i);
                FoldKernel.fold(
                        type,
                        update.file()
                                .elements(
                                        update.tensors().get(segment.tensor()),
                                        segment.from(),
                                        segment.count()),
                        segment.count(),
                        arrived.get(i).weight(),
                        fold.wide(layout.shardLength(shard)),
                        segment.at());
            }
        }
        if (RegionMappings.faults() > faults) {
            requireUndamaged(open);
        }
        int most = rounded;
        fold.narrow.ifPresent(narrow -> narrow.rounded(most));
        return bytes;
    }

    private static void requireUndamaged(List<OpenUpdates.Update> updates) {
        if (updates.stream().anyMatch(u -> RegionMappings.damaged(u.file().mapped()))) {
            // Zeros are in the sum. The checkpoint before knows better.
            throw new RejectedException(
                    RejectReason.PAYLOAD_LOST,
                    "an update was truncated while it was folded; its round goes on from the last checkpoint");
        }
    }

    /** Half-precision values become float32 block by block, in memory that stays in the cache. */
    private void widen(
            DType type, ByteBuffer elements, float weight, FloatSum sum, Segment segment) {
        for (int from = 0; from < segment.count(); from += BLOCK) {
            int count = Math.min(BLOCK, segment.count() - from);
            for (int i = 0; i < count; i++) {
                block.put(i, (float) Elements.get(type, elements, (from + i) * type.bytes()));
            }
            sum.add(
                    new Weighted[] {new Weighted(blockAddress, weight)},
                    segment.at() + from,
                    count);
        }
    }

    private boolean hasNarrow(int shard) {
        return layout.segments(shard).stream()
                .anyMatch(s -> NARROW.contains(layout.header().tensors().get(s.tensor()).dtype()));
    }

    /** Makes the float32 sum ready for something whose elements have at most that magnitude. */
    private void admit(double more, int shard, NodeFold fold) {
        narrow(shard, fold)
                .filter(narrow -> !narrow.admits(more))
                .ifPresent(
                        narrow -> {
                            spill(narrow, shard, fold);
                            narrow.admits(more);
                        });
    }

    private Optional<FloatSum> narrow(int shard, NodeFold fold) {
        if (fold.narrow.isEmpty()) {
            int elements = layout.shardLength(shard);
            fold.narrow = take(elements, Float.BYTES).map(r -> FloatSum.zero(r, elements));
        }
        return fold.narrow;
    }

    private Optional<OwnedRegion> take(int elements, int size) {
        return pool.flatMap(p -> p.take((long) elements * size));
    }

    private void spillIfExhausted(int shard, NodeFold fold) {
        fold.narrow.filter(FloatSum::exhausted).ifPresent(narrow -> spill(narrow, shard, fold));
    }

    private void spill(FloatSum narrow, int shard, NodeFold fold) {
        narrow.addTo(fold.wide(layout.shardLength(shard)));
        narrow.clear();
    }

    private long add(PartialSum partial, int elements, NodeFold fold) {
        if (partial instanceof PartialSum.Values values) {
            addAll(fold.wide(elements), values.sum());
            return (long) elements * Double.BYTES;
        }
        PartialSum.Lying lying = (PartialSum.Lying) partial;
        Optional<OwnedRegion> own =
                regions.elsewhere(lying.payload())
                        ? Optional.empty()
                        : pool.flatMap(p -> p.find(lying.payload()));
        if (own.isPresent() && lying.type() == DType.F32 && fold.narrow.isEmpty()) {
            fold.narrow =
                    Optional.of(
                            FloatSum.adopted(own.get(), elements, lying.scale(), lying.bound()));
            return 0;
        }
        regions.consume(
                pool.orElseThrow(), lying.payload(), memory -> add(memory, lying, elements, fold));
        return lying.payload().length();
    }

    private static void add(MappedFile sum, PartialSum.Lying lying, int elements, NodeFold fold) {
        DType type = lying.type();
        if (type == DType.F32
                && fold.narrow.isPresent()
                && fold.narrow.get().admits(lying.bound())) {
            Weighted vector =
                    new Weighted(
                            FloatKernel.address(sum.slice(0, elements * Float.BYTES)),
                            fold.narrow.get().factor(Math.scalb(1.0, -lying.scale())));
            fold.narrow.get().rounded(fold.narrow.get().add(new Weighted[] {vector}, 0, elements));
        } else {
            FoldKernel.fold(
                    type,
                    sum.slice(0, elements * type.bytes()),
                    elements,
                    Math.scalb(1.0, -lying.scale()),
                    fold.wide(elements),
                    0);
        }
    }

    private static void addAll(double[] into, double[] from) {
        for (int i = 0; i < into.length; i++) {
            into[i] += from[i];
        }
    }

    /** The sum of a closed node, to be sent to its parent; the fold is not used any more. */
    PartialSum handOver(int shard, NodeFold fold) {
        int elements = layout.shardLength(shard);
        if (fold.wide.length == 0 && fold.narrow.isPresent()) {
            FloatSum sum = fold.narrow.get();
            return new PartialSum.Lying(handOver(fold), DType.F32, sum.scale(), sum.bound());
        }
        double[] total = fold.narrow.isEmpty() ? fold.wide(elements) : fold.total(elements);
        Optional<OwnedRegion> region = take(elements, Double.BYTES);
        if (region.isEmpty()) {
            return new PartialSum.Values(total);
        }
        DoubleBuffer values =
                region.get().memory().slice(0, elements * Double.BYTES).asDoubleBuffer();
        values.put(total);
        return new PartialSum.Lying(publish(region.get()), DType.F64, 0, 0);
    }

    /** The region with a fold's float32 sum, which from now on is whoever's reads it. */
    PayloadRef handOver(NodeFold fold) {
        OwnedRegion region = fold.narrow.orElseThrow().region();
        fold.narrow = Optional.empty();
        return publish(region);
    }

    private PayloadRef publish(OwnedRegion region) {
        region.publish("{}");
        return regions.shared(region.payload());
    }

    /** The fold is not used any more. */
    void discard(NodeFold fold) {
        fold.narrow.ifPresent(n -> pool.orElseThrow().giveBack(n.region()));
        fold.narrow = Optional.empty();
    }

    /** Lets go of updates that nobody folds any more. */
    void sweep() {
        updates.sweep();
    }

    @Override
    public void close() {
        updates.close();
        // Each who has opened the pool closes it once.
        if (closed.compareAndSet(false, true)) {
            pool.ifPresent(RegionPool::close);
        }
    }
}
