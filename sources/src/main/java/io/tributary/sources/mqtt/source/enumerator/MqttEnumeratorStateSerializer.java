// SPDX-License-Identifier: Apache-2.0

package io.tributary.sources.mqtt.source.enumerator;

import io.tributary.sources.mqtt.source.split.MqttSplit;
import io.tributary.sources.mqtt.source.split.MqttSplitSerializer;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import org.apache.flink.core.io.SimpleVersionedSerializer;
import org.apache.flink.core.memory.DataInputDeserializer;
import org.apache.flink.core.memory.DataOutputSerializer;

/** The splits' version, their number, and each with its length. */
public final class MqttEnumeratorStateSerializer
        implements SimpleVersionedSerializer<MqttEnumeratorState> {

    private final MqttSplitSerializer splits = new MqttSplitSerializer();

    @Override
    public int getVersion() {
        return 1;
    }

    @Override
    public byte[] serialize(MqttEnumeratorState state) throws IOException {
        DataOutputSerializer out = new DataOutputSerializer(256);
        out.writeInt(splits.getVersion());
        out.writeInt(state.unassigned().size());
        for (MqttSplit split : state.unassigned()) {
            byte[] bytes = splits.serialize(split);
            out.writeInt(bytes.length);
            out.write(bytes);
        }
        return out.getCopyOfBuffer();
    }

    @Override
    public MqttEnumeratorState deserialize(int version, byte[] bytes) throws IOException {
        DataInputDeserializer in = new DataInputDeserializer(bytes);
        int splitVersion = in.readInt();
        int count = in.readInt();
        List<MqttSplit> unassigned = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            byte[] split = new byte[in.readInt()];
            in.readFully(split);
            unassigned.add(splits.deserialize(splitVersion, split));
        }
        return new MqttEnumeratorState(unassigned);
    }
}
