// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.aggregate;

import io.tributary.operators.aggregate.AggregatorInput.CloseNode;
import io.tributary.operators.model.ModelDirectory;
import io.tributary.operators.model.ModelShard;
import io.tributary.operators.model.ModelSpec;
import io.tributary.protocol.message.PayloadRef;
import io.tributary.protocol.message.UpdateKind;
import io.tributary.protocol.tensor.DType;
import io.tributary.protocol.tensor.Elements;
import io.tributary.protocol.tensor.ModelLayout.Segment;
import io.tributary.shm.node.RegionAccess;
import io.tributary.shm.region.MappedFile;
import io.tributary.shm.region.RegionPool;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
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
    private transient ShardFlaws flaws;

    /**
     * @param models where models are published
     */
    public TopOperator(
            ModelSpec model,
            ModelDirectory models,
            RegionAccess.Place regions,
            Optional<RegionPool.Place> partials) {
        super(model, regions, partials);
        this.model = model;
        this.models = models;
    }

    @Override
    public void open() throws Exception {
        super.open();
        flaws = new ShardFlaws(layout());
    }

    @Override
    void emit(CloseNode close, NodeFold fold) throws Exception {
        int elements = layout().shardLength(close.shard());
        Optional<FloatSum> sum = fold.wide.length > 0 ? Optional.empty() : fold.narrow;
        ByteBuffer base = model.kind() == UpdateKind.DELTA ? base(close) : ByteBuffer.allocate(0);
        if (sum.isPresent() && allFloat(close.shard())) {
            // The region becomes the shard as it is.
            float[] mean = sum.get().copy(elements);
            divide(mean, sum.get().unscale() / fold.weight);
            if (model.kind() == UpdateKind.DELTA) {
                add(mean, base);
            }
            sum.get().set(mean);
            collect(
                    close,
                    new byte[0],
                    Optional.of(folder().handOver(fold)),
                    flaws.find(close.shard(), mean));
            return;
        }
        byte[] bytes = mean(close.shard(), fold.total(elements), fold.weight, base);
        folder().discard(fold);
        collect(close, bytes, Optional.empty(), flaws.find(close.shard(), bytes));
    }

    private boolean allFloat(int shard) {
        return layout().segments(shard).stream()
                .map(segment -> layout().header().tensors().get(segment.tensor()).dtype())
                .allMatch(DType.F32::equals);
    }

    private void collect(
            CloseNode close, byte[] bytes, Optional<PayloadRef> region, Optional<String> flaw) {
        collect(
                new ModelShard(
                        close.model(),
                        close.base(),
                        close.shard(),
                        bytes,
                        region,
                        flaw.orElse(""),
                        close.lastUpdateMicros()));
    }

    private byte[] mean(int shard, double[] sum, double weight, ByteBuffer base) {
        ByteBuffer bytes =
                ByteBuffer.allocate(layout().shardBytes(shard)).order(ByteOrder.LITTLE_ENDIAN);
        int at = 0;
        for (Segment segment : layout().segments(shard)) {
            DType type = layout().header().tensors().get(segment.tensor()).dtype();
            for (int i = segment.at(); i < segment.at() + segment.count(); i++) {
                double value = sum[i] / weight;
                if (base.hasRemaining()) {
                    value += Elements.get(type, base, at);
                }
                Elements.put(type, bytes, at, value);
                at += type.bytes();
            }
        }
        return bytes.array();
    }

    /** By a factor in float64, which rounds as the quotient does but for one value in millions. */
    private static void divide(float[] sum, double factor) {
        for (int i = 0; i < sum.length; i++) {
            sum[i] = (float) (sum[i] * factor);
        }
    }

    private static void add(float[] delta, ByteBuffer base) {
        FloatBuffer values = base.asFloatBuffer();
        for (int i = 0; i < delta.length; i++) {
            delta[i] += values.get(i);
        }
    }

    private ByteBuffer base(CloseNode close) {
        int length = layout().shardBytes(close.shard());
        PayloadRef shard =
                new PayloadRef(
                        models.base(close.base(), model).toString(),
                        layout().fileOffset(close.shard()),
                        length,
                        0);
        ByteBuffer base = ByteBuffer.allocate(length);
        try (MappedFile file = MappedFile.open(shard)) {
            base.put(file.slice(0, length));
        }
        return base.flip().order(ByteOrder.LITTLE_ENDIAN);
    }
}
