// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.aggregate;

import io.tributary.operators.aggregate.AggregatorInput.CloseNode;
import io.tributary.operators.aggregate.AggregatorInput.DropRound;
import io.tributary.operators.aggregate.AggregatorInput.FoldPartial;
import io.tributary.operators.aggregate.AggregatorInput.FoldUpdate;
import io.tributary.operators.model.ModelSpec;
import io.tributary.protocol.tensor.DType;
import io.tributary.protocol.tensor.ModelLayout;
import io.tributary.protocol.tensor.ModelLayout.Segment;
import java.util.Optional;
import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.api.common.state.MapState;
import org.apache.flink.api.common.state.MapStateDescriptor;
import org.apache.flink.api.common.typeutils.base.StringSerializer;
import org.apache.flink.api.java.functions.KeySelector;
import org.apache.flink.metrics.Counter;
import org.apache.flink.streaming.api.functions.KeyedProcessFunction;
import org.apache.flink.util.Collector;

/**
 * One level of the aggregation tree, keyed by (node, shard); rounds are entries of a map below the
 * key, because what outlives a round, the global model, belongs to the same key.
 *
 * <p>Metrics: {@code updatesFolded}, {@code partialSumsFolded}, {@code bytesFolded} of payload and
 * {@code foldTimeMicros}, counters of this subtask.
 *
 * @param <OUT> what a closed node emits
 */
public abstract class AggregatorFunction<OUT>
        extends KeyedProcessFunction<NodeShard, AggregatorInput, OUT> {

    private static final long serialVersionUID = 1L;

    /** The key of an input. */
    public static final KeySelector<AggregatorInput, NodeShard> KEY =
            input -> new NodeShard(input.node(), input.shard());

    private final ModelSpec model;

    private transient ModelLayout layout;
    private transient OpenUpdates updates;
    private transient MapState<String, NodeAccumulator> rounds;
    private transient Counter updatesFolded;
    private transient Counter partialSumsFolded;
    private transient Counter bytesFolded;
    private transient Counter foldTime;

    AggregatorFunction(ModelSpec model) {
        this.model = model;
    }

    @Override
    public void open(OpenContext context) throws Exception {
        layout = model.layout();
        updates = new OpenUpdates(layout);
        rounds =
                getRuntimeContext()
                        .getMapState(
                                new MapStateDescriptor<>(
                                        "rounds",
                                        StringSerializer.INSTANCE,
                                        NodeAccumulatorSerializer.INSTANCE));
        updatesFolded = getRuntimeContext().getMetricGroup().counter("updatesFolded");
        partialSumsFolded = getRuntimeContext().getMetricGroup().counter("partialSumsFolded");
        bytesFolded = getRuntimeContext().getMetricGroup().counter("bytesFolded");
        foldTime = getRuntimeContext().getMetricGroup().counter("foldTimeMicros");
    }

    @Override
    public void processElement(AggregatorInput input, Context context, Collector<OUT> out)
            throws Exception {
        String round = input.round().toString();
        if (input instanceof DropRound) {
            rounds.remove(round);
            return;
        }
        // Asked for anew each time: this call is what makes Flink copy it under a snapshot.
        NodeAccumulator accumulator =
                Optional.ofNullable(rounds.get(round)).orElseGet(NodeAccumulator::new);
        if (input instanceof FoldUpdate fold) {
            fold(fold, accumulator);
        } else if (input instanceof FoldPartial partial) {
            accumulator.add(partial.weight(), partial.sum());
            partialSumsFolded.inc();
        } else if (input instanceof CloseNode close) {
            accumulator.close = Optional.of(close);
        }
        if (accumulator.complete()) {
            emit(accumulator.close.get(), accumulator, out);
            rounds.remove(round);
        } else {
            rounds.put(round, accumulator);
        }
    }

    private void fold(FoldUpdate fold, NodeAccumulator accumulator) {
        long start = System.nanoTime();
        OpenUpdates.Update update = updates.get(fold.payload());
        for (Segment segment : layout.segments(fold.shard())) {
            DType type = layout.header().tensors().get(segment.tensor()).dtype();
            FoldKernel.fold(
                    type,
                    update.file()
                            .elements(
                                    update.tensors().get(segment.tensor()),
                                    segment.from(),
                                    segment.count()),
                    segment.count(),
                    fold.weight(),
                    accumulator.sum(layout.shardLength(fold.shard())),
                    segment.at());
            bytesFolded.inc((long) segment.count() * type.bytes());
        }
        accumulator.weight += fold.weight();
        accumulator.contributions++;
        if (fold.shard() == 0) {
            updatesFolded.inc();
        }
        foldTime.inc((System.nanoTime() - start) / 1000);
    }

    /** What flows on when a node is closed and all of its contributions are in. */
    abstract void emit(CloseNode close, NodeAccumulator accumulator, Collector<OUT> out)
            throws Exception;

    /** The model's layout. */
    final ModelLayout layout() {
        return layout;
    }

    @Override
    public void close() {
        if (updates != null) {
            updates.close();
        }
    }
}
