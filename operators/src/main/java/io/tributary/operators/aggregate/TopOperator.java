// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.aggregate;

import io.tributary.memory.kernel.Memory;
import io.tributary.memory.region.MappedFile;
import io.tributary.memory.region.RegionPool;
import io.tributary.node.PayloadStore;
import io.tributary.operators.aggregate.AggregatorInput.CloseNode;
import io.tributary.operators.model.ModelDirectory;
import io.tributary.operators.model.ModelShard;
import io.tributary.operators.model.ModelSpec;
import io.tributary.protocol.message.PayloadRef;
import io.tributary.protocol.message.UpdateKind;
import java.util.Optional;

/**
 * The top level: the only one that divides. Its mean is FedAvg's (McMahan et al., AISTATS 2017,
 * algorithm 1). With deltas it adds the mean to the model that trainers started from, which it
 * reads where that was published: whether a round's model was accepted is decided further down,
 * when all shards are there, so it could not know by itself. It tells when a shard is not finite.
 */
public final class TopOperator extends AggregatorOperator<ModelShard> {

    private static final long serialVersionUID = 1L;

    private final ModelSpec model;
    private final ModelDirectory models;
    private transient ShardMean mean;

    /**
     * @param models where models are published
     */
    public TopOperator(
            ModelSpec model,
            ModelDirectory models,
            PayloadStore.Place regions,
            Optional<RegionPool.Place> partials) {
        super(model, models, regions, partials);
        this.model = model;
        this.models = models;
    }

    @Override
    public void open() throws Exception {
        super.open();
        mean = new ShardMean(layout());
    }

    @Override
    void emit(CloseNode close, LiveAccumulator fold) throws Exception {
        Memory sum = executor().sum(close.shard(), fold);
        Optional<String> flaw;
        if (model.kind() == UpdateKind.DELTA) {
            try (MappedFile base = MappedFile.open(base(close))) {
                flaw = mean.write(close.shard(), sum, fold.weight, Optional.of(base));
            }
        } else {
            flaw = mean.write(close.shard(), sum, fold.weight, Optional.empty());
        }
        PartialSum shard = executor().detachSum(fold, layout().shardBytes(close.shard()));
        collect(
                new ModelShard(
                        close.model(),
                        close.base(),
                        close.shard(),
                        shard instanceof PartialSum.Inline values ? values.sum() : new byte[0],
                        shard instanceof PartialSum.InRegion region
                                ? Optional.of(region.payload())
                                : Optional.empty(),
                        flaw.orElse(""),
                        close.lastUpdateMicros()));
    }

    private PayloadRef base(CloseNode close) {
        return new PayloadRef(
                models.base(close.base(), model).toString(),
                layout().fileOffset(close.shard()),
                layout().shardBytes(close.shard()),
                0);
    }
}
