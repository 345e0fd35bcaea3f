// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.aggregate;

import io.tributary.operators.aggregate.SlotState.Slots;
import io.tributary.operators.types.FlowSerializer;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Map;
import java.util.TreeMap;
import org.apache.flink.api.common.typeutils.SimpleTypeSerializerSnapshot;
import org.apache.flink.api.common.typeutils.TypeSerializerSnapshot;
import org.apache.flink.core.memory.DataInputView;
import org.apache.flink.core.memory.DataOutputView;

/** The version, then steps and vectors of before and after, each a name and float64 values. */
final class SlotStateSerializer extends FlowSerializer<SlotState> {

    static final SlotStateSerializer INSTANCE = new SlotStateSerializer();

    private static final long serialVersionUID = 1L;

    /** A step writes into it. */
    @Override
    public boolean isImmutableType() {
        return false;
    }

    @Override
    public SlotState copy(SlotState state) {
        return new SlotState(state.version(), state.before().copy(), state.after().copy());
    }

    @Override
    public void serialize(SlotState state, DataOutputView out) throws IOException {
        writeRound(state.version(), out);
        write(state.before(), out);
        write(state.after(), out);
    }

    private static void write(Slots slots, DataOutputView out) throws IOException {
        out.writeInt(slots.steps());
        out.writeInt(slots.vectors().size());
        for (Map.Entry<String, double[][]> slot : slots.vectors().entrySet()) {
            out.writeUTF(slot.getKey());
            out.writeInt(Math.multiplyExact(Slots.length(slot.getValue()), Double.BYTES));
            // One for all chunks: a checkpoint would leave as much garbage as it writes.
            ByteBuffer bytes =
                    ByteBuffer.allocate(Slots.CHUNK * Double.BYTES).order(ByteOrder.LITTLE_ENDIAN);
            for (double[] chunk : slot.getValue()) {
                bytes.asDoubleBuffer().put(chunk);
                out.write(bytes.array(), 0, chunk.length * Double.BYTES);
            }
        }
    }

    @Override
    public SlotState deserialize(DataInputView in) throws IOException {
        return new SlotState(readRound(in), read(in), read(in));
    }

    private static Slots read(DataInputView in) throws IOException {
        int steps = in.readInt();
        int count = in.readInt();
        Map<String, double[][]> vectors = new TreeMap<>();
        for (int i = 0; i < count; i++) {
            String name = in.readUTF();
            double[][] chunks = Slots.room(in.readInt() / Double.BYTES);
            ByteBuffer bytes =
                    ByteBuffer.allocate(Slots.CHUNK * Double.BYTES).order(ByteOrder.LITTLE_ENDIAN);
            for (double[] chunk : chunks) {
                in.readFully(bytes.array(), 0, chunk.length * Double.BYTES);
                bytes.asDoubleBuffer().get(chunk);
            }
            vectors.put(name, chunks);
        }
        return new Slots(steps, vectors);
    }

    @Override
    public TypeSerializerSnapshot<SlotState> snapshotConfiguration() {
        return new Snapshot();
    }

    /** The first version. */
    public static final class Snapshot extends SimpleTypeSerializerSnapshot<SlotState> {
        public Snapshot() {
            super(() -> INSTANCE);
        }
    }
}
