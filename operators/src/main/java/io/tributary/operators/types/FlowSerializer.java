// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.types;

import io.tributary.protocol.message.PayloadRef;
import io.tributary.protocol.message.RoundId;
import java.io.IOException;
import org.apache.flink.api.common.typeutils.TypeSerializer;
import org.apache.flink.core.memory.DataInputView;
import org.apache.flink.core.memory.DataOutputView;

/**
 * What all serializers here share. They hold no state, and all of a class are equal.
 *
 * @param <T> the type
 */
public abstract class FlowSerializer<T> extends TypeSerializer<T> {

    private static final long serialVersionUID = 1L;

    @Override
    public boolean isImmutableType() {
        return true;
    }

    @Override
    public TypeSerializer<T> duplicate() {
        return this;
    }

    @Override
    public T createInstance() {
        return null;
    }

    @Override
    public T copy(T from) {
        return from;
    }

    @Override
    public T copy(T from, T reuse) {
        return copy(from);
    }

    @Override
    public int getLength() {
        return -1;
    }

    @Override
    public T deserialize(T reuse, DataInputView in) throws IOException {
        return deserialize(in);
    }

    @Override
    public void copy(DataInputView in, DataOutputView out) throws IOException {
        serialize(deserialize(in), out);
    }

    @Override
    public boolean equals(Object other) {
        return other != null && other.getClass() == getClass();
    }

    @Override
    public int hashCode() {
        return getClass().hashCode();
    }

    /** Writes where a payload lies. */
    protected static void writePayload(PayloadRef payload, DataOutputView out) throws IOException {
        out.writeUTF(payload.path());
        out.writeLong(payload.offset());
        out.writeLong(payload.length());
        out.writeInt(payload.generation());
        out.writeUTF(payload.node());
    }

    /** Reads what {@link #writePayload} wrote. */
    protected static PayloadRef readPayload(DataInputView in) throws IOException {
        return new PayloadRef(
                in.readUTF(), in.readLong(), in.readLong(), in.readInt(), in.readUTF());
    }

    /** Writes a round's opening, or a model's version. */
    public static void writeRound(RoundId round, DataOutputView out) throws IOException {
        out.writeInt(round.round());
        out.writeLong(round.epoch());
    }

    /** Reads what {@link #writeRound} wrote. */
    public static RoundId readRound(DataInputView in) throws IOException {
        return new RoundId(in.readInt(), in.readLong());
    }

    /** Writes length and bytes. */
    protected static void writeBytes(byte[] bytes, DataOutputView out) throws IOException {
        out.writeInt(bytes.length);
        out.write(bytes);
    }

    /** Reads what {@link #writeBytes} wrote. */
    protected static byte[] readBytes(DataInputView in) throws IOException {
        byte[] bytes = new byte[in.readInt()];
        in.readFully(bytes);
        return bytes;
    }
}
