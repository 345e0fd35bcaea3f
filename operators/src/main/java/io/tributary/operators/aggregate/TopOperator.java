// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.aggregate;

import io.tributary.operators.aggregate.AggregatorInput.CloseNode;
import io.tributary.operators.model.ModelShard;
import io.tributary.operators.model.ModelSpec;
import io.tributary.protocol.message.UpdateKind;
import io.tributary.protocol.tensor.DType;
import io.tributary.protocol.tensor.Elements;
import io.tributary.protocol.tensor.ModelLayout.Segment;
import io.tributary.shm.region.TensorFile;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.util.Optional;
import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.api.common.typeutils.base.array.BytePrimitiveArraySerializer;

/**
 * The top level: the only one that divides. Its mean is FedAvg's (McMahan et al., AISTATS 2017,
 * algorithm 1). With deltas it keeps the global model's shard, as rounded to the model's element
 * types, because that is what trainers started from.
 */
public final class TopOperator extends AggregatorOperator<ModelShard> {

    private static final long serialVersionUID = 1L;

    private final ModelSpec model;

    private transient ValueState<byte[]> globalModel;

    public TopOperator(ModelSpec model, Optional<Partials> partials) {
        super(model, partials);
        this.model = model;
    }

    @Override
    public void open() throws Exception {
        super.open();
        globalModel =
                getRuntimeContext()
                        .getState(
                                new ValueStateDescriptor<>(
                                        "global-model", BytePrimitiveArraySerializer.INSTANCE));
    }

    @Override
    void emit(CloseNode close, NodeFold fold) throws Exception {
        int shard = close.shard();
        boolean delta = model.kind() == UpdateKind.DELTA;
        ByteBuffer base = delta ? base(shard) : ByteBuffer.allocate(0);
        ByteBuffer bytes =
                ByteBuffer.allocate(layout().shardBytes(shard)).order(ByteOrder.LITTLE_ENDIAN);
        double[] sum = fold.total(layout().shardLength(shard));
        int at = 0;
        for (Segment segment : layout().segments(shard)) {
            DType type = layout().header().tensors().get(segment.tensor()).dtype();
            for (int i = segment.at(); i < segment.at() + segment.count(); i++) {
                double value = sum[i] / fold.weight;
                if (delta) {
                    value += Elements.get(type, base, at);
                }
                Elements.put(type, bytes, at, value);
                at += type.bytes();
            }
        }
        if (delta) {
            globalModel.update(bytes.array());
        }
        folder().discard(fold);
        collect(new ModelShard(close.round(), shard, bytes.array(), close.lastUpdateMicros()));
    }

    private ByteBuffer base(int shard) throws Exception {
        byte[] known = globalModel.value();
        if (known == null) {
            known = new byte[layout().shardBytes(shard)];
            try (TensorFile file = TensorFile.open(Path.of(model.path()))) {
                file.mapped().slice(layout().fileOffset(shard), known.length).get(known);
            }
        }
        return ByteBuffer.wrap(known).order(ByteOrder.LITTLE_ENDIAN);
    }
}
