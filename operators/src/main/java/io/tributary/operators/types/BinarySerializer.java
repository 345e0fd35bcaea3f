// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.types;

import java.io.IOException;
import org.apache.flink.api.common.typeutils.base.TypeSerializerSingleton;
import org.apache.flink.core.memory.DataInputView;
import org.apache.flink.core.memory.DataOutputView;

/**
 * What all binary serializers share.
 *
 * @param <T> the type
 */
public abstract class BinarySerializer<T> extends TypeSerializerSingleton<T> {

    private static final long serialVersionUID = 1L;

    @Override
    public boolean isImmutableType() {
        return true;
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

    /** Writes length and values; in blocks rather than one call for each value. */
    protected static void writeDoubles(double[] values, DataOutputView out) throws IOException {
        out.writeInt(values.length);
        Blocks.write(values, out);
    }

    /** Reads what {@link #writeDoubles} wrote. */
    protected static double[] readDoubles(DataInputView in) throws IOException {
        double[] values = new double[in.readInt()];
        Blocks.read(values, in);
        return values;
    }
}
