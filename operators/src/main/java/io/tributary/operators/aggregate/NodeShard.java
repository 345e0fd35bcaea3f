// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.aggregate;

import io.tributary.operators.types.FlowSerializer;
import io.tributary.operators.types.StreamType;
import java.io.IOException;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.common.typeutils.SimpleTypeSerializerSnapshot;
import org.apache.flink.api.common.typeutils.TypeSerializerSnapshot;
import org.apache.flink.core.memory.DataInputView;
import org.apache.flink.core.memory.DataOutputView;

/**
 * The key of an aggregator. Savepoints name this class. The hash of a key, by which Flink chooses
 * the subtask, is the shard's alone: all nodes of a shard are at the same subtask of their level,
 * so shards advance together, no partial sum waits long for its siblings, and few are alive at a
 * time. If the node belongs to a host, it is one of that host's subtasks instead.
 *
 * @param node name of the tree node, with its {@link SubtaskAffinity} if it has one
 * @param shard the shard
 */
public record NodeShard(String node, int shard) {

    /** How Flink serialises it. */
    public static final TypeInformation<NodeShard> TYPE =
            StreamType.key(NodeShard.class, KeySerializer.INSTANCE);

    @Override
    public int hashCode() {
        return SubtaskAffinity.hash(node, shard);
    }

    /** Node and shard. */
    static final class KeySerializer extends FlowSerializer<NodeShard> {

        static final KeySerializer INSTANCE = new KeySerializer();

        private static final long serialVersionUID = 1L;

        @Override
        public void serialize(NodeShard key, DataOutputView out) throws IOException {
            out.writeUTF(key.node());
            out.writeInt(key.shard());
        }

        @Override
        public NodeShard deserialize(DataInputView in) throws IOException {
            return new NodeShard(in.readUTF(), in.readInt());
        }

        @Override
        public TypeSerializerSnapshot<NodeShard> snapshotConfiguration() {
            return new Snapshot();
        }
    }

    /** Version 1 of the format. */
    public static final class Snapshot extends SimpleTypeSerializerSnapshot<NodeShard> {
        public Snapshot() {
            super(() -> KeySerializer.INSTANCE);
        }
    }
}
