// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.aggregate;

import io.tributary.operators.aggregate.AggregatorInput.CloseNode;
import io.tributary.operators.aggregate.AggregatorInput.FoldPartial;
import io.tributary.operators.model.ModelSpec;
import org.apache.flink.util.Collector;

/** A level below the top: hands its unnormalised sum to the parent. */
public final class PartialSumFunction extends AggregatorFunction<AggregatorInput> {

    private static final long serialVersionUID = 1L;

    public PartialSumFunction(ModelSpec model) {
        super(model);
    }

    @Override
    void emit(CloseNode close, NodeAccumulator accumulator, Collector<AggregatorInput> out) {
        out.collect(
                new FoldPartial(
                        close.parent(),
                        close.shard(),
                        close.round(),
                        accumulator.weight,
                        accumulator.sum));
    }
}
