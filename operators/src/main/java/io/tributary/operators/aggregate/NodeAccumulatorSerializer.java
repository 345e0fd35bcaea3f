// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.aggregate;

import io.tributary.operators.aggregate.AggregatorInput.CloseNode;
import io.tributary.operators.types.FlowSerializer;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Optional;
import org.apache.flink.api.common.typeutils.TypeSerializer;
import org.apache.flink.api.common.typeutils.TypeSerializerSchemaCompatibility;
import org.apache.flink.api.common.typeutils.TypeSerializerSnapshot;
import org.apache.flink.core.memory.DataInputView;
import org.apache.flink.core.memory.DataOutputView;

/** Sum, weight, number of contributions, and the close if it has come. */
final class NodeAccumulatorSerializer extends FlowSerializer<NodeAccumulator> {

    static final NodeAccumulatorSerializer INSTANCE = new NodeAccumulatorSerializer(false);

    /** Reads what version 1 wrote, in which a sum is a float64 for each element, big-endian. */
    private static final NodeAccumulatorSerializer EARLIER = new NodeAccumulatorSerializer(true);

    private static final long serialVersionUID = 1L;

    private final boolean earlier;

    private NodeAccumulatorSerializer(boolean earlier) {
        this.earlier = earlier;
    }

    @Override
    public void serialize(NodeAccumulator value, DataOutputView out) throws IOException {
        out.writeBoolean(value.earlier());
        writeBytes(value.sum(), out);
        out.writeDouble(value.weight());
        out.writeInt(value.contributions());
        out.writeBoolean(value.close().isPresent());
        if (value.close().isPresent()) {
            AggregatorInputSerializer.INSTANCE.serialize(value.close().get(), out);
        }
    }

    @Override
    public NodeAccumulator deserialize(DataInputView in) throws IOException {
        boolean converted = earlier || in.readBoolean();
        return new NodeAccumulator(
                earlier ? readEarlier(in) : readBytes(in),
                in.readDouble(),
                in.readInt(),
                in.readBoolean()
                        ? Optional.of(
                                (CloseNode) AggregatorInputSerializer.INSTANCE.deserialize(in))
                        : Optional.empty(),
                converted);
    }

    private static byte[] readEarlier(DataInputView in) throws IOException {
        byte[] bytes = new byte[Math.multiplyExact(in.readInt(), Double.BYTES)];
        in.readFully(bytes);
        ByteBuffer turned = ByteBuffer.allocate(bytes.length).order(ByteOrder.LITTLE_ENDIAN);
        turned.asDoubleBuffer().put(ByteBuffer.wrap(bytes).asDoubleBuffer());
        return turned.array();
    }

    @Override
    public boolean equals(Object other) {
        return other instanceof NodeAccumulatorSerializer serializer
                && serializer.earlier == earlier;
    }

    @Override
    public int hashCode() {
        return Boolean.hashCode(earlier);
    }

    @Override
    public TypeSerializerSnapshot<NodeAccumulator> snapshotConfiguration() {
        return new Snapshot();
    }

    /** The format's version. */
    public static final class Snapshot implements TypeSerializerSnapshot<NodeAccumulator> {

        private static final int VERSION = 4;

        /** That of {@code SimpleTypeSerializerSnapshot}, which version 1 had. */
        private static final int FIRST = 3;

        private int read = VERSION;

        @Override
        public int getCurrentVersion() {
            return VERSION;
        }

        @Override
        public void writeSnapshot(DataOutputView out) {}

        @Override
        public void readSnapshot(int readVersion, DataInputView in, ClassLoader loader)
                throws IOException {
            read = readVersion;
        }

        @Override
        public TypeSerializer<NodeAccumulator> restoreSerializer() {
            return read == FIRST ? EARLIER : INSTANCE;
        }

        @Override
        public TypeSerializerSchemaCompatibility<NodeAccumulator> resolveSchemaCompatibility(
                TypeSerializerSnapshot<NodeAccumulator> old) {
            return ((Snapshot) old).read == FIRST
                    ? TypeSerializerSchemaCompatibility.compatibleAfterMigration()
                    : TypeSerializerSchemaCompatibility.compatibleAsIs();
        }
    }
}
