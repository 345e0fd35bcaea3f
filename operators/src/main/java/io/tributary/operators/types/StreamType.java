// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.types;

import java.util.Objects;
import org.apache.flink.api.common.serialization.SerializerConfig;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.common.typeutils.TypeSerializer;

/**
 * Tells Flink which serializer a type has, so that nothing falls back to Kryo.
 *
 * @param <T> the type
 */
public final class StreamType<T> extends TypeInformation<T> {

    private static final long serialVersionUID = 1L;

    private final Class<T> type;
    private final TypeSerializer<T> serializer;
    private final boolean key;

    private StreamType(Class<T> type, TypeSerializer<T> serializer, boolean key) {
        this.type = type;
        this.serializer = serializer;
        this.key = key;
    }

    /** A type that is written as JSON. */
    public static <T> StreamType<T> json(Class<T> type) {
        return new StreamType<>(type, new JsonSerializer<>(type), false);
    }

    /** A type with a serializer of its own. */
    public static <T> StreamType<T> binary(Class<T> type, TypeSerializer<T> serializer) {
        return new StreamType<>(type, serializer, false);
    }

    /** The same for a type whose {@code hashCode} and {@code equals} make it a key. */
    public static <T> StreamType<T> key(Class<T> type, TypeSerializer<T> serializer) {
        return new StreamType<>(type, serializer, true);
    }

    @Override
    public boolean isBasicType() {
        return false;
    }

    @Override
    public boolean isTupleType() {
        return false;
    }

    @Override
    public int getArity() {
        return 1;
    }

    @Override
    public int getTotalFields() {
        return 1;
    }

    @Override
    public Class<T> getTypeClass() {
        return type;
    }

    @Override
    public boolean isKeyType() {
        return key;
    }

    @Override
    public TypeSerializer<T> createSerializer(SerializerConfig config) {
        return serializer;
    }

    @Override
    public String toString() {
        return type.getSimpleName();
    }

    @Override
    public boolean equals(Object other) {
        return other instanceof StreamType<?> that
                && that.type == type
                && that.serializer.equals(serializer);
    }

    @Override
    public int hashCode() {
        return Objects.hash(type, serializer);
    }

    @Override
    public boolean canEqual(Object other) {
        return other instanceof StreamType;
    }
}
