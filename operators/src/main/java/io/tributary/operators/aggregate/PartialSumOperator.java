// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.aggregate;

import io.tributary.memory.region.RegionPool;
import io.tributary.node.PayloadStore;
import io.tributary.operators.aggregate.AggregatorInput.CloseNode;
import io.tributary.operators.aggregate.AggregatorInput.FoldPartial;
import io.tributary.operators.clock.Clock;
import io.tributary.operators.model.ModelSpec;
import io.tributary.operators.model.ModelStore;
import io.tributary.operators.rule.WeightedMean;
import java.util.Optional;

/** A level below the top: hands its unnormalised sum to the parent. */
public final class PartialSumOperator extends AggregatorOperator<AggregatorInput> {

    private static final long serialVersionUID = 1L;

    public PartialSumOperator(
            ModelSpec model,
            ModelStore models,
            PayloadStore.Place regions,
            Optional<RegionPool.Place> partials,
            Clock clock) {
        super(model, models, regions, partials, new WeightedMean(), clock);
    }

    @Override
    void emit(CloseNode close, LiveAccumulator fold) {
        collect(
                new FoldPartial(
                        close.parent(),
                        close.shard(),
                        close.round(),
                        fold.weights,
                        executor().detachSum(close.shard(), fold)));
        executor().discard(fold);
    }
}
