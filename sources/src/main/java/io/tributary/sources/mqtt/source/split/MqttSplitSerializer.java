// SPDX-License-Identifier: Apache-2.0

package io.tributary.sources.mqtt.source.split;

import java.io.IOException;
import org.apache.flink.core.io.SimpleVersionedSerializer;
import org.apache.flink.core.memory.DataInputDeserializer;
import org.apache.flink.core.memory.DataOutputSerializer;

/** Id, filter, and whether it is fresh. */
public final class MqttSplitSerializer implements SimpleVersionedSerializer<MqttSplit> {

    @Override
    public int getVersion() {
        return 1;
    }

    @Override
    public byte[] serialize(MqttSplit split) throws IOException {
        DataOutputSerializer out = new DataOutputSerializer(64);
        out.writeUTF(split.splitId());
        out.writeUTF(split.filter());
        out.writeBoolean(split.fresh());
        return out.getCopyOfBuffer();
    }

    @Override
    public MqttSplit deserialize(int version, byte[] bytes) throws IOException {
        DataInputDeserializer in = new DataInputDeserializer(bytes);
        return new MqttSplit(in.readUTF(), in.readUTF(), in.readBoolean());
    }
}
