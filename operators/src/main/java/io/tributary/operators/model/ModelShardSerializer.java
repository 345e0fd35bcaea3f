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

/** Round, epoch, shard, time, the region if there is one, length and bytes. */
final class ModelShardSerializer extends FlowSerializer<ModelShard> {

    static final ModelShardSerializer INSTANCE = new ModelShardSerializer();

    private static final long serialVersionUID = 1L;

    @Override
    public void serialize(ModelShard value, DataOutputView out) throws IOException {
        out.writeInt(value.round().round());
        out.writeInt(value.round().epoch());
        out.writeInt(value.shard());
        out.writeLong(value.lastUpdateMicros());
        out.writeBoolean(value.region().isPresent());
        if (value.region().isPresent()) {
            writePayload(value.region().get(), out);
        }
        out.writeInt(value.bytes().length);
        out.write(value.bytes());
    }

    @Override
    public ModelShard deserialize(DataInputView in) throws IOException {
        RoundId round = new RoundId(in.readInt(), in.readInt());
        int shard = in.readInt();
        long lastUpdateMicros = in.readLong();
        Optional<PayloadRef> region =
                in.readBoolean() ? Optional.of(readPayload(in)) : Optional.empty();
        byte[] bytes = new byte[in.readInt()];
        in.readFully(bytes);
        return new ModelShard(round, shard, bytes, region, lastUpdateMicros);
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
