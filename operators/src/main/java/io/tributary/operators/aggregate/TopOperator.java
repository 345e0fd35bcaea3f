// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.aggregate;

import io.tributary.memory.region.MappedFile;
import io.tributary.memory.region.RegionPool;
import io.tributary.node.PayloadStore;
import io.tributary.operators.aggregate.AggregatorInput.CloseNode;
import io.tributary.operators.aggregate.AggregatorInput.RoundEnd;
import io.tributary.operators.aggregate.SlotState.Slots;
import io.tributary.operators.clock.Clock;
import io.tributary.operators.model.ModelShard;
import io.tributary.operators.model.ModelSpec;
import io.tributary.operators.model.ModelStore;
import io.tributary.operators.optimizer.Algorithm;
import io.tributary.protocol.message.PayloadRef;
import java.io.IOException;
import java.util.List;
import java.util.Optional;
import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;

/**
 * The top level: the only one that divides, and the one where the server optimizer steps. It reads
 * the model that trainers started from where that was published: whether a round's model was taken
 * is decided further down, when all shards are there, so it could not know by itself. It tells when
 * a shard is not finite.
 */
public final class TopOperator extends AggregatorOperator<ModelShard> {

    private static final long serialVersionUID = 1L;

    private final ModelSpec model;
    private final ModelStore models;
    private final Algorithm algorithm;
    private transient ShardStep step;
    private transient ValueState<SlotState> slots;

    /**
     * @param models where models are published
     * @param algorithm how updates become a model
     */
    public TopOperator(
            ModelSpec model,
            ModelStore models,
            PayloadStore.Place regions,
            Optional<RegionPool.Place> partials,
            Algorithm algorithm,
            Clock clock) {
        super(model, models, regions, partials, algorithm.rule(), clock);
        this.model = model;
        this.models = models;
        this.algorithm = algorithm;
    }

    @Override
    public void open() throws Exception {
        super.open();
        step = new ShardStep(layout(), model, algorithm.optimizer());
        slots =
                getRuntimeContext()
                        .getState(
                                new ValueStateDescriptor<>(
                                        "optimizer", SlotStateSerializer.INSTANCE));
    }

    @Override
    void emit(CloseNode close, LiveAccumulator fold) throws Exception {
        RoundEnd end = close.end();
        int shard = close.shard();
        SlotState remembered = remembered(end);
        ShardStep.Made made;
        try (BaseShard base = new BaseShard(end, shard)) {
            made =
                    step.make(
                            new ShardStep.Sums(
                                    shard,
                                    executor().sum(shard, fold),
                                    fold.weights,
                                    end,
                                    base::mapped),
                            remembered.after(),
                            remembered.before());
        }
        if (algorithm.optimizer().remembers()) {
            slots.update(new SlotState(end.model(), remembered.after(), made.slots()));
        }
        PartialSum bytes = executor().detachSum(fold, layout().shardBytes(shard));
        collect(
                new ModelShard(
                        end.model(),
                        end.base(),
                        shard,
                        bytes instanceof PartialSum.Inline values ? values.sum() : new byte[0],
                        bytes instanceof PartialSum.InRegion region
                                ? Optional.of(region.payload())
                                : Optional.empty(),
                        made.flaw().orElse(""),
                        end.lastUpdateMicros()));
    }

    /** What the optimizer remembers of rounds whose models were taken, after the last of them. */
    private SlotState remembered(RoundEnd end) throws IOException {
        SlotState last = slots.value();
        List<String> names = algorithm.optimizer().slots();
        // Steps of another algorithm that has remembered nothing else do not count either.
        if (last == null || last.after().vectors().isEmpty() && !names.isEmpty()) {
            return new SlotState(end.base(), Slots.NONE, Slots.NONE);
        }
        last.requireOf(names);
        boolean rejected = last.version().equals(end.base()) && models.rejected(last.version());
        return rejected ? new SlotState(last.version(), last.after(), last.before()) : last;
    }

    /** The shard of the model that trainers started from, mapped when it is asked for. */
    private final class BaseShard implements AutoCloseable {

        private final RoundEnd end;
        private final int shard;
        private Optional<MappedFile> mapped = Optional.empty();

        BaseShard(RoundEnd end, int shard) {
            this.end = end;
            this.shard = shard;
        }

        MappedFile mapped() {
            if (mapped.isEmpty()) {
                mapped =
                        Optional.of(
                                MappedFile.open(
                                        new PayloadRef(
                                                models.base(end.base(), model).toString(),
                                                layout().fileOffset(shard),
                                                layout().shardBytes(shard),
                                                0)));
            }
            return mapped.get();
        }

        @Override
        public void close() {
            mapped.ifPresent(MappedFile::close);
        }
    }
}
