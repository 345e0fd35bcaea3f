// SPDX-License-Identifier: Apache-2.0

package io.tributary.sources.base.source;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import org.apache.flink.core.io.SimpleVersionedSerializer;
import org.apache.flink.core.memory.DataInputDeserializer;
import org.apache.flink.core.memory.DataInputView;
import org.apache.flink.core.memory.DataOutputSerializer;
import org.apache.flink.core.memory.DataOutputView;

/** How splits and enumerator states are written into checkpoints. */
final class LaneSerializers {

    private static final int VERSION = 1;

    private LaneSerializers() {}

    private static void write(LaneSplit split, DataOutputView out) throws IOException {
        out.writeInt(split.lane());
        out.writeBoolean(split.fresh());
        out.writeUTF(split.host());
    }

    private static LaneSplit read(DataInputView in) throws IOException {
        return new LaneSplit(in.readInt(), in.readBoolean(), in.readUTF());
    }

    /** Lane, whether it is fresh, and its host. */
    static final class Split implements SimpleVersionedSerializer<LaneSplit> {

        @Override
        public int getVersion() {
            return VERSION;
        }

        @Override
        public byte[] serialize(LaneSplit split) throws IOException {
            DataOutputSerializer out = new DataOutputSerializer(8);
            write(split, out);
            return out.getCopyOfBuffer();
        }

        @Override
        public LaneSplit deserialize(int version, byte[] bytes) throws IOException {
            return read(new DataInputDeserializer(bytes));
        }
    }

    /** The number of splits, and each. */
    static final class State implements SimpleVersionedSerializer<LaneEnumeratorState> {

        @Override
        public int getVersion() {
            return VERSION;
        }

        @Override
        public byte[] serialize(LaneEnumeratorState state) throws IOException {
            DataOutputSerializer out = new DataOutputSerializer(128);
            out.writeInt(state.unassigned().size());
            for (LaneSplit split : state.unassigned()) {
                write(split, out);
            }
            return out.getCopyOfBuffer();
        }

        @Override
        public LaneEnumeratorState deserialize(int version, byte[] bytes) throws IOException {
            DataInputDeserializer in = new DataInputDeserializer(bytes);
            int count = in.readInt();
            List<LaneSplit> unassigned = new ArrayList<>();
            for (int i = 0; i < count; i++) {
                unassigned.add(read(in));
            }
            return new LaneEnumeratorState(unassigned);
        }
    }
}
