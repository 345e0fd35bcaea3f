// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.aggregate;

import io.tributary.operators.aggregate.AggregatorInput.CloseNode;
import io.tributary.operators.model.ModelShard;
import io.tributary.operators.model.ModelSpec;
import io.tributary.protocol.message.PayloadRef;
import io.tributary.protocol.message.UpdateKind;
import io.tributary.protocol.tensor.DType;
import io.tributary.protocol.tensor.Elements;
import io.tributary.protocol.tensor.ModelLayout.Segment;
import io.tributary.shm.node.RegionAccess;
import io.tributary.shm.region.RegionPool;
import io.tributary.shm.region.TensorFile;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
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

    public TopOperator(
            ModelSpec model, RegionAccess.Place regions, Optional<RegionPool.Place> partials) {
        super(model, regions, partials);
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
        boolean delta = model.kind() == UpdateKind.DELTA;
        int elements = layout().shardLength(close.shard());
        Optional<FloatSum> sum = fold.wide.length > 0 ? Optional.empty() : fold.narrow;
        if (sum.isPresent() && allFloat(close.shard())) {
            // The region becomes the shard as it is.
            ByteBuffer base = delta ? base(close.shard()) : ByteBuffer.allocate(0);
            float[] mean = sum.get().copy(elements);
            divide(mean, fold.weight);
            if (delta) {
                add(mean, base);
                globalModel.update(bytes(mean));
            }
            sum.get().set(mean);
            PayloadRef region = folder().handOver(fold);
            collect(close, new byte[0], Optional.of(region));
            return;
        }
        byte[] bytes = mean(close.shard(), fold.total(elements), fold.weight, delta);
        if (delta) {
            globalModel.update(bytes);
        }
        folder().discard(fold);
        collect(close, bytes, Optional.empty());
    }

    private boolean allFloat(int shard) {
        return layout().segments(shard).stream()
                .map(segment -> layout().header().tensors().get(segment.tensor()).dtype())
                .allMatch(DType.F32::equals);
    }

    private void collect(CloseNode close, byte[] bytes, Optional<PayloadRef> region) {
        collect(
                new ModelShard(
                        close.model(), close.shard(), bytes, region, close.lastUpdateMicros()));
    }

    private byte[] mean(int shard, double[] sum, double weight, boolean delta) throws Exception {
        ByteBuffer base = delta ? base(shard) : ByteBuffer.allocate(0);
        ByteBuffer bytes =
                ByteBuffer.allocate(layout().shardBytes(shard)).order(ByteOrder.LITTLE_ENDIAN);
        int at = 0;
        for (Segment segment : layout().segments(shard)) {
            DType type = layout().header().tensors().get(segment.tensor()).dtype();
            for (int i = segment.at(); i < segment.at() + segment.count(); i++) {
                double value = sum[i] / weight;
                if (delta) {
                    value += Elements.get(type, base, at);
                }
                Elements.put(type, bytes, at, value);
                at += type.bytes();
            }
        }
        return bytes.array();
    }

    /** By a factor in float64, which rounds as the quotient does but for one value in millions. */
    private static void divide(float[] sum, double weight) {
        double factor = FloatSum.UNSCALE / weight;
        for (int i = 0; i < sum.length; i++) {
            sum[i] = (float) (sum[i] * factor);
        }
    }

    private static byte[] bytes(float[] values) {
        ByteBuffer bytes =
                ByteBuffer.allocate(values.length * Float.BYTES).order(ByteOrder.LITTLE_ENDIAN);
        bytes.asFloatBuffer().put(values);
        return bytes.array();
    }

    private static void add(float[] delta, ByteBuffer base) {
        FloatBuffer values = base.asFloatBuffer();
        for (int i = 0; i < delta.length; i++) {
            delta[i] += values.get(i);
        }
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
