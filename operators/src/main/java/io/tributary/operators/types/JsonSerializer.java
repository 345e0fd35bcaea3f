// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.types;

import io.tributary.protocol.Json;
import java.io.IOException;
import java.util.Objects;
import org.apache.flink.api.common.typeutils.TypeSerializer;
import org.apache.flink.api.common.typeutils.TypeSerializerSchemaCompatibility;
import org.apache.flink.api.common.typeutils.TypeSerializerSnapshot;
import org.apache.flink.core.memory.DataInputView;
import org.apache.flink.core.memory.DataOutputView;

/**
 * Small values as length-prefixed JSON. A field may be dropped between versions of the job: unknown
 * fields are ignored on reading. One that is added needs a default in its type's constructor.
 *
 * @param <T> a record, or a state class with a deep copy of its own through JSON
 */
public final class JsonSerializer<T> extends FlowSerializer<T> {

    private static final long serialVersionUID = 1L;

    private final Class<T> type;
    private final boolean immutable;

    JsonSerializer(Class<T> type) {
        this.type = type;
        this.immutable = type.isRecord() || type.isInterface();
    }

    @Override
    public boolean isImmutableType() {
        return immutable;
    }

    @Override
    public T copy(T from) {
        return immutable ? from : Json.decode(Json.encode(from), type);
    }

    @Override
    public void serialize(T value, DataOutputView out) throws IOException {
        byte[] json = Json.encode(value);
        out.writeInt(json.length);
        out.write(json);
    }

    @Override
    public T deserialize(DataInputView in) throws IOException {
        byte[] json = new byte[in.readInt()];
        in.readFully(json);
        return Json.decode(json, type);
    }

    @Override
    public void copy(DataInputView in, DataOutputView out) throws IOException {
        byte[] json = new byte[in.readInt()];
        in.readFully(json);
        out.writeInt(json.length);
        out.write(json);
    }

    @Override
    public boolean equals(Object other) {
        return other instanceof JsonSerializer<?> that && that.type == type;
    }

    @Override
    public int hashCode() {
        return Objects.hash(JsonSerializer.class, type);
    }

    @Override
    public TypeSerializerSnapshot<T> snapshotConfiguration() {
        return new Snapshot<>(type);
    }

    /**
     * Remembers the type.
     *
     * @param <T> the type
     */
    public static final class Snapshot<T> implements TypeSerializerSnapshot<T> {

        private Class<T> type;

        /** For Flink, which calls {@link #readSnapshot} next. */
        public Snapshot() {}

        Snapshot(Class<T> type) {
            this.type = type;
        }

        @Override
        public int getCurrentVersion() {
            return 1;
        }

        @Override
        public void writeSnapshot(DataOutputView out) throws IOException {
            out.writeUTF(type.getName());
        }

        @Override
        @SuppressWarnings("unchecked")
        public void readSnapshot(int version, DataInputView in, ClassLoader loader)
                throws IOException {
            String name = in.readUTF();
            try {
                type = (Class<T>) Class.forName(name, false, loader);
            } catch (ClassNotFoundException e) {
                throw new IOException("the state holds a " + name + ", which this job lacks", e);
            }
        }

        @Override
        public TypeSerializer<T> restoreSerializer() {
            return new JsonSerializer<>(type);
        }

        @Override
        public TypeSerializerSchemaCompatibility<T> resolveSchemaCompatibility(
                TypeSerializerSnapshot<T> old) {
            return old instanceof Snapshot<T> that && that.type == type
                    ? TypeSerializerSchemaCompatibility.compatibleAsIs()
                    : TypeSerializerSchemaCompatibility.incompatible();
        }
    }
}
