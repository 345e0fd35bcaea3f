// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.aggregate;

import io.tributary.operators.aggregate.AggregatorInput.CloseNode;
import io.tributary.operators.types.FlowSerializer;
import java.io.IOException;
import java.util.Optional;
import org.apache.flink.api.common.typeutils.SimpleTypeSerializerSnapshot;
import org.apache.flink.api.common.typeutils.TypeSerializerSnapshot;
import org.apache.flink.core.memory.DataInputView;
import org.apache.flink.core.memory.DataOutputView;

/** Sum, weight, number of contributions, and the close if it has come. */
final class NodeAccumulatorSerializer extends FlowSerializer<NodeAccumulator> {

    static final NodeAccumulatorSerializer INSTANCE = new NodeAccumulatorSerializer();

    private static final long serialVersionUID = 1L;

    @Override
    public void serialize(NodeAccumulator value, DataOutputView out) throws IOException {
        writeDoubles(value.sum(), out);
        out.writeDouble(value.weight());
        out.writeInt(value.contributions());
        out.writeBoolean(value.close().isPresent());
        if (value.close().isPresent()) {
            AggregatorInputSerializer.INSTANCE.serialize(value.close().get(), out);
        }
    }

    @Override
    public NodeAccumulator deserialize(DataInputView in) throws IOException {
        return new NodeAccumulator(
                readDoubles(in),
                in.readDouble(),
                in.readInt(),
                in.readBoolean()
                        ? Optional.of(
                                (CloseNode) AggregatorInputSerializer.INSTANCE.deserialize(in))
                        : Optional.empty());
    }

    @Override
    public TypeSerializerSnapshot<NodeAccumulator> snapshotConfiguration() {
        return new Snapshot();
    }

    /** Version 1 of the format. */
    public static final class Snapshot extends SimpleTypeSerializerSnapshot<NodeAccumulator> {
        public Snapshot() {
            super(() -> INSTANCE);
        }
    }
}
