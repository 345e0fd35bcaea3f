// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.aggregate;

import io.tributary.operators.aggregate.AggregatorInput.CloseNode;
import io.tributary.operators.types.FlowSerializer;
import java.io.IOException;
import java.util.Optional;
import org.apache.flink.api.common.typeutils.TypeSerializer;
import org.apache.flink.api.common.typeutils.TypeSerializerSchemaCompatibility;
import org.apache.flink.api.common.typeutils.TypeSerializerSnapshot;
import org.apache.flink.core.memory.DataInputView;
import org.apache.flink.core.memory.DataOutputView;

/** Sum, weight, number of contributions, and the close if it has come. */
final class NodeAccumulatorSerializer extends FlowSerializer<NodeAccumulator> {

    static final NodeAccumulatorSerializer INSTANCE =
            new NodeAccumulatorSerializer(AggregatorInputSerializer.INSTANCE);

    private static final long serialVersionUID = 1L;

    private final AggregatorInputSerializer closes;

    private NodeAccumulatorSerializer(AggregatorInputSerializer closes) {
        this.closes = closes;
    }

    @Override
    public void serialize(NodeAccumulator value, DataOutputView out) throws IOException {
        writeDoubles(value.sum(), out);
        out.writeDouble(value.weight());
        out.writeInt(value.contributions());
        out.writeBoolean(value.close().isPresent());
        if (value.close().isPresent()) {
            closes.serialize(value.close().get(), out);
        }
    }

    @Override
    public NodeAccumulator deserialize(DataInputView in) throws IOException {
        return new NodeAccumulator(
                readDoubles(in),
                in.readDouble(),
                in.readInt(),
                in.readBoolean()
                        ? Optional.of((CloseNode) closes.deserialize(in))
                        : Optional.empty());
    }

    @Override
    public TypeSerializerSnapshot<NodeAccumulator> snapshotConfiguration() {
        return new Snapshot();
    }

    /** Version 4. In version 3, the first, a close did not name its model. */
    public static final class Snapshot implements TypeSerializerSnapshot<NodeAccumulator> {

        private static final int VERSION = 4;

        private int written = VERSION;

        @Override
        public int getCurrentVersion() {
            return VERSION;
        }

        @Override
        public void writeSnapshot(DataOutputView out) {
            // The version says all.
        }

        @Override
        public void readSnapshot(int version, DataInputView in, ClassLoader loader)
                throws IOException {
            if (version > VERSION) {
                throw new IOException(
                        "the state was written by a later version of this job: format %d, this is %d"
                                .formatted(version, VERSION));
            }
            written = version;
        }

        @Override
        public TypeSerializer<NodeAccumulator> restoreSerializer() {
            return written == VERSION
                    ? INSTANCE
                    : new NodeAccumulatorSerializer(AggregatorInputSerializer.WITHOUT_MODEL);
        }

        @Override
        public TypeSerializerSchemaCompatibility<NodeAccumulator> resolveSchemaCompatibility(
                TypeSerializerSnapshot<NodeAccumulator> old) {
            return old instanceof Snapshot earlier && earlier.written < VERSION
                    ? TypeSerializerSchemaCompatibility.compatibleAfterMigration()
                    : TypeSerializerSchemaCompatibility.compatibleAsIs();
        }
    }
}
