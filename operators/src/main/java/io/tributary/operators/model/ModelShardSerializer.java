// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.model;

import io.tributary.operators.types.FlowSerializer;
import io.tributary.protocol.message.PayloadRef;
import io.tributary.protocol.message.RoundId;
import java.io.IOException;
import java.util.Optional;
import org.apache.flink.api.common.typeutils.SimpleTypeSerializerSnapshot;
import org.apache.flink.api.common.typeutils.TypeSerializerSnapshot;
import org.apache.flink.core.memory.DataInputView;
import org.apache.flink.core.memory.DataOutputView;

/** Version, base, shard, time, flaw, the region if there is one, length and bytes. */
final class ModelShardSerializer extends FlowSerializer<ModelShard> {

    static final ModelShardSerializer INSTANCE = new ModelShardSerializer();

    private static final long serialVersionUID = 1L;

    @Override
    public void serialize(ModelShard value, DataOutputView out) throws IOException {
        writeRound(value.round(), out);
        writeRound(value.base(), out);
        out.writeInt(value.shard());
        out.writeLong(value.lastUpdateMicros());
        out.writeUTF(value.flaw());
        out.writeBoolean(value.region().isPresent());
        if (value.region().isPresent()) {
            writePayload(value.region().get(), out);
        }
        out.writeInt(value.bytes().length);
        out.write(value.bytes());
    }

    @Override
    public ModelShard deserialize(DataInputView in) throws IOException {
        RoundId round = readRound(in);
        RoundId base = readRound(in);
        int shard = in.readInt();
        long lastUpdateMicros = in.readLong();
        String flaw = in.readUTF();
        Optional<PayloadRef> region =
                in.readBoolean() ? Optional.of(readPayload(in)) : Optional.empty();
        byte[] bytes = new byte[in.readInt()];
        in.readFully(bytes);
        return new ModelShard(round, base, shard, bytes, region, flaw, lastUpdateMicros);
    }

    @Override
    public TypeSerializerSnapshot<ModelShard> snapshotConfiguration() {
        return new Snapshot();
    }

    /** Version 1 of the format. */
    public static final class Snapshot extends SimpleTypeSerializerSnapshot<ModelShard> {
        public Snapshot() {
            super(() -> INSTANCE);
        }
    }
}
