// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.aggregate;

import io.tributary.memory.guard.MemoryGuard;
import io.tributary.memory.kernel.Columns;
import io.tributary.memory.region.RegionPool;
import io.tributary.node.PayloadStore;
import io.tributary.operators.aggregate.AggregatorInput.CloseNode;
import io.tributary.operators.aggregate.AggregatorInput.DropRound;
import io.tributary.operators.aggregate.AggregatorInput.FoldPartial;
import io.tributary.operators.aggregate.AggregatorInput.FoldUpdate;
import io.tributary.operators.clock.Clock;
import io.tributary.operators.model.ModelSpec;
import io.tributary.operators.model.ModelStore;
import io.tributary.operators.model.Quarantine;
import io.tributary.operators.rule.AggregationRule;
import io.tributary.protocol.Version;
import io.tributary.protocol.message.RoundId;
import io.tributary.protocol.tensor.ModelLayout;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.apache.flink.api.common.state.MapState;
import org.apache.flink.api.common.state.MapStateDescriptor;
import org.apache.flink.api.common.typeutils.base.StringSerializer;
import org.apache.flink.api.java.functions.KeySelector;
import org.apache.flink.metrics.Counter;
import org.apache.flink.runtime.execution.SuppressRestartsException;
import org.apache.flink.runtime.state.StateInitializationContext;
import org.apache.flink.runtime.state.StateSnapshotContext;
import org.apache.flink.streaming.api.operators.AbstractStreamOperator;
import org.apache.flink.streaming.api.operators.OneInputStreamOperator;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;

/**
 * One level of the aggregation tree, keyed by (node, shard). It works in memory of its own, which a
 * checkpoint writes as it is: what comes in is put beside what else waits for the same node and
 * shard, and all of it is folded together: when there are eight, when nothing more has come for a
 * millisecond, ten milliseconds later at the latest, when the node is complete, or when a
 * checkpoint begins.
 *
 * <p>Metrics: {@code updatesFolded}, {@code partialSumsFolded}, {@code bytesFolded} of payload and
 * {@code foldTimeMicros}, counters of this subtask; {@code remoteBytesRead} of updates and partial
 * sums on other hosts, a gauge.
 *
 * @param <OUT> what a closed node emits
 */
public abstract class AggregatorOperator<OUT> extends AbstractStreamOperator<OUT>
        implements OneInputStreamOperator<AggregatorInput, OUT> {

    private static final long serialVersionUID = 1L;

    /** The key of an input. */
    public static final KeySelector<AggregatorInput, NodeShard> KEY =
            input -> new NodeShard(input.node(), input.shard());

    private static final long FLUSH_MILLIS = 1;

    /** How often that is put off because more has come meanwhile. */
    private static final int MAX_PUT_OFF = 10;

    private static final long EVICT_MILLIS = 1000;

    private final ModelSpec model;
    private final ModelStore models;
    private final PayloadStore.Place regions;

    /** At most one; unlike an Optional, a list can be shipped. */
    private final List<RegionPool.Place> partials;

    private final AggregationRule rule;
    private final Clock clock;

    private transient ModelLayout layout;
    private transient PayloadStore access;
    private transient FoldExecutor executor;

    /** Folds as an earlier version remembers them; each leaves it when it is needed. */
    private transient MapState<String, NodeAccumulator> earlier;

    private transient Map<FoldKey, LiveAccumulator> folds;
    private transient boolean flushScheduled;
    private transient boolean arrived;
    private transient Counter updatesFolded;
    private transient Counter partialSumsFolded;
    private transient Counter bytesFolded;
    private transient Counter foldTime;

    /**
     * @param models where models are, and what is found not to be finite is written down
     * @param regions where updates lie
     * @param partials where partial sums lie, so that they need not pass through Flink's network
     * @param rule what becomes of updates; a level below the top only adds
     * @param clock how long folds take, and copies of other hosts are kept
     */
    AggregatorOperator(
            ModelSpec model,
            ModelStore models,
            PayloadStore.Place regions,
            Optional<RegionPool.Place> partials,
            AggregationRule rule,
            Clock clock) {
        this.rule = rule;
        this.clock = clock;
        this.model = model;
        this.models = models;
        this.regions = regions;
        this.partials = partials.stream().toList();
    }

    /** Sums do not go through the keyed backend. */
    @Override
    protected boolean isUsingCustomRawKeyedState() {
        return true;
    }

    @Override
    public void initializeState(StateInitializationContext context) throws Exception {
        super.initializeState(context);
        layout = model.layout();
        if (!partials.isEmpty() || regions.manyHosts()) {
            MemoryGuard.install();
        }
        access = regions.open();
        executor =
                new FoldExecutor(
                        layout,
                        access,
                        new Quarantine(models),
                        partials.stream().findAny().map(p -> p.open(layout.maxUpdateBytes())),
                        new ManagedMemory(getContainingTask().getEnvironment().getMemoryManager()),
                        clock);
        folds = new LinkedHashMap<>();
        AccumulatorState.read(context.getRawKeyedStateInputs(), executor, folds);
        earlier =
                context.getKeyedStateStore()
                        .getMapState(
                                new MapStateDescriptor<>(
                                        "rounds",
                                        StringSerializer.INSTANCE,
                                        NodeAccumulatorSerializer.INSTANCE));
    }

    /** No restart mends that, and each host has a subtask of the tree. */
    private static void requireSameVersion() {
        try {
            Version.requireSame(AggregatorOperator.class);
        } catch (IllegalStateException e) {
            throw new SuppressRestartsException(e);
        }
    }

    @Override
    public void open() throws Exception {
        super.open();
        requireSameVersion();
        updatesFolded = getMetricGroup().counter("updatesFolded");
        partialSumsFolded = getMetricGroup().counter("partialSumsFolded");
        bytesFolded = getMetricGroup().counter("bytesFolded");
        foldTime = getMetricGroup().counter("foldTimeMicros");
        getMetricGroup().gauge("remoteBytesRead", access::remoteBytes);
        scheduleEviction();
    }

    @Override
    public void processElement(StreamRecord<AggregatorInput> record) throws Exception {
        AggregatorInput input = record.getValue();
        FoldKey key = new FoldKey(KEY.getKey(input), input.round());
        LiveAccumulator fold = folds.get(key);
        if (fold == null) {
            fold = load(input.shard(), input.round());
            folds.put(key, fold);
        }
        if (input instanceof DropRound) {
            executor.discard(fold);
            folds.remove(key);
            return;
        }
        if (input instanceof CloseNode close) {
            fold.close = Optional.of(close);
        } else {
            fold.waiting.add(input);
        }
        if (fold.complete()) {
            flush(key, fold);
            emit(fold.close.get(), fold);
            folds.remove(key);
        } else if (rule instanceof AggregationRule.Gathering) {
            // All that it needs comes at the close, and no checkpoint comes in between.
            return;
        } else if (fold.waiting.size() >= Columns.MAX) {
            flush(key, fold);
        } else if (!fold.waiting.isEmpty()) {
            arrived = true;
            if (!flushScheduled) {
                flushScheduled = true;
                scheduleFlush(0);
            }
        }
    }

    private LiveAccumulator load(int shard, RoundId round) throws Exception {
        NodeAccumulator before = earlier.get(round.toString());
        if (before == null) {
            return executor.nothing(shard);
        }
        earlier.remove(round.toString());
        return executor.restore(shard, before);
    }

    private void flush(FoldKey key, LiveAccumulator fold) {
        if (fold.waiting.isEmpty()) {
            return;
        }
        long start = clock.nanoTime();
        for (AggregatorInput input : fold.waiting) {
            if (input instanceof FoldPartial) {
                partialSumsFolded.inc();
            } else if (input instanceof FoldUpdate && key.key().shard() == 0) {
                updatesFolded.inc();
            }
        }
        bytesFolded.inc(
                rule instanceof AggregationRule.Gathering gathering
                        ? executor.gather(key.key().shard(), fold, gathering)
                        : executor.flush(key.key().shard(), fold));
        foldTime.inc((clock.nanoTime() - start) / 1000);
    }

    /**
     * As long as more keeps coming, it is worth waiting for: eight updates together are folded
     * three times as fast as eight alone. What completes a node is not waited for, so the last
     * update is not delayed.
     */
    private void scheduleFlush(int putOff) {
        arrived = false;
        long now = getProcessingTimeService().getCurrentProcessingTime();
        getProcessingTimeService()
                .registerTimer(
                        now + FLUSH_MILLIS,
                        time -> {
                            if (arrived && putOff < MAX_PUT_OFF) {
                                scheduleFlush(putOff + 1);
                            } else {
                                flushScheduled = false;
                                folds.forEach(this::flush);
                            }
                        });
    }

    private void scheduleEviction() {
        long now = getProcessingTimeService().getCurrentProcessingTime();
        getProcessingTimeService()
                .registerTimer(
                        now + EVICT_MILLIS,
                        time -> {
                            executor.evictIdle();
                            access.releaseAgain();
                            scheduleEviction();
                        });
    }

    @Override
    public void snapshotState(StateSnapshotContext context) throws Exception {
        folds.forEach(this::flush);
        if (!folds.isEmpty()) {
            AccumulatorState.write(
                    folds,
                    executor,
                    getRuntimeContext().getTaskInfo().getMaxNumberOfParallelSubtasks(),
                    context.getRawKeyedOperatorStateOutput());
        }
        super.snapshotState(context);
    }

    /** Emits the result of a closed node that has all of its contributions. */
    abstract void emit(CloseNode close, LiveAccumulator fold) throws Exception;

    /** Sends a record on. */
    final void collect(OUT value) {
        output.collect(new StreamRecord<>(value));
    }

    /** The model's layout. */
    final ModelLayout layout() {
        return layout;
    }

    /** The executor of this subtask's folds. */
    final FoldExecutor executor() {
        return executor;
    }

    @Override
    public void close() throws Exception {
        if (executor != null) {
            folds.values().forEach(executor::discard);
            executor.close();
        }
        if (access != null) {
            access.close();
        }
        super.close();
    }
}
