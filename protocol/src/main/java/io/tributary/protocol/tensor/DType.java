// SPDX-License-Identifier: Apache-2.0

package io.tributary.protocol.tensor;

import io.tributary.protocol.RejectReason;
import io.tributary.protocol.RejectedException;
import java.math.BigDecimal;
import java.math.BigInteger;
import java.nio.ByteBuffer;
import java.util.Arrays;

/**
 * Element types of tensors, named as safetensors names them, each with its codec for elements in
 * little-endian memory. A floating type rounds to its nearest value, ties to even; an integer type
 * rounds half to even and saturates at its range ({@code BOOL}: 0 or 1). The native kernel's {@code
 * fold.h} names the same types.
 */
public enum DType {
    F64(new Floating(8, ByteBuffer::getDouble, ByteBuffer::putDouble)),
    F32(new Floating(4, ByteBuffer::getFloat, (b, at, value) -> b.putFloat(at, (float) value))),
    F16(Floating.of16(SmallFloat.F16)),
    BF16(Floating.of16(SmallFloat.BF16)),
    F8_E4M3(Floating.of8(SmallFloat.F8_E4M3)),
    F8_E5M2(Floating.of8(SmallFloat.F8_E5M2)),
    I64(Integral.signed(8, ByteBuffer::getLong, ByteBuffer::putLong)),
    U64(Integral.unsigned(8, ByteBuffer::getLong, ByteBuffer::putLong)),
    I32(Integral.signed(4, ByteBuffer::getInt, (b, at, value) -> b.putInt(at, (int) value))),
    U32(
            Integral.unsigned(
                    4,
                    (b, at) -> Integer.toUnsignedLong(b.getInt(at)),
                    (b, at, value) -> b.putInt(at, (int) value))),
    I16(Integral.signed(2, ByteBuffer::getShort, (b, at, value) -> b.putShort(at, (short) value))),
    U16(
            Integral.unsigned(
                    2,
                    (b, at) -> Short.toUnsignedLong(b.getShort(at)),
                    (b, at, value) -> b.putShort(at, (short) value))),
    I8(Integral.signed(1, ByteBuffer::get, (b, at, value) -> b.put(at, (byte) value))),
    U8(
            Integral.unsigned(
                    1,
                    (b, at) -> Byte.toUnsignedLong(b.get(at)),
                    (b, at, value) -> b.put(at, (byte) value))),
    BOOL(
            new Integral(
                    1,
                    (b, at) -> b.get(at) == 0 ? 0 : 1,
                    (b, at, value) -> b.put(at, (byte) value),
                    BigInteger.ZERO,
                    BigInteger.ONE));

    private final Codec codec;

    DType(Codec codec) {
        this.codec = codec;
    }

    private sealed interface Codec {

        int bytes();

        double get(ByteBuffer memory, int at);

        void put(ByteBuffer memory, int at, double value);
    }

    @FunctionalInterface
    private interface DoubleReader {
        double read(ByteBuffer memory, int at);
    }

    @FunctionalInterface
    private interface DoubleWriter {
        void write(ByteBuffer memory, int at, double value);
    }

    private record Floating(int bytes, DoubleReader reader, DoubleWriter writer) implements Codec {

        static Floating of16(SmallFloat format) {
            return new Floating(
                    2,
                    (b, at) -> format.decode(b.getShort(at)),
                    (b, at, value) -> b.putShort(at, (short) format.encode(value)));
        }

        static Floating of8(SmallFloat format) {
            return new Floating(
                    1,
                    (b, at) -> format.decode(b.get(at)),
                    (b, at, value) -> b.put(at, (byte) format.encode(value)));
        }

        @Override
        public double get(ByteBuffer memory, int at) {
            return reader.read(memory, at);
        }

        @Override
        public void put(ByteBuffer memory, int at, double value) {
            writer.write(memory, at, value);
        }
    }

    @FunctionalInterface
    private interface LongReader {
        long read(ByteBuffer memory, int at);
    }

    @FunctionalInterface
    private interface LongWriter {
        void write(ByteBuffer memory, int at, long value);
    }

    /** Longs stand for the bits of what is unsigned and has 64 of them. */
    private record Integral(
            int bytes, LongReader reader, LongWriter writer, BigInteger low, BigInteger high)
            implements Codec {

        static Integral signed(int bytes, LongReader reader, LongWriter writer) {
            BigInteger end = BigInteger.ONE.shiftLeft(8 * bytes - 1);
            return new Integral(bytes, reader, writer, end.negate(), end.subtract(BigInteger.ONE));
        }

        static Integral unsigned(int bytes, LongReader reader, LongWriter writer) {
            BigInteger end = BigInteger.ONE.shiftLeft(8 * bytes);
            return new Integral(
                    bytes, reader, writer, BigInteger.ZERO, end.subtract(BigInteger.ONE));
        }

        boolean wide() {
            return high.bitLength() == Long.SIZE;
        }

        @Override
        public double get(ByteBuffer memory, int at) {
            return exact(memory, at).doubleValue();
        }

        BigInteger exact(ByteBuffer memory, int at) {
            long bits = reader.read(memory, at);
            return wide() && bits < 0
                    ? BigInteger.valueOf(bits).add(BigInteger.ONE.shiftLeft(Long.SIZE))
                    : BigInteger.valueOf(bits);
        }

        @Override
        public void put(ByteBuffer memory, int at, double value) {
            double rounded = Math.rint(value);
            put(
                    memory,
                    at,
                    Math.abs(rounded) < 0x1p62
                            ? BigInteger.valueOf((long) rounded)
                            : new BigDecimal(rounded).toBigInteger());
        }

        void put(ByteBuffer memory, int at, BigInteger value) {
            writer.write(memory, at, value.max(low).min(high).longValue());
        }
    }

    /** Bytes of one element. */
    public int bytes() {
        return codec.bytes();
    }

    /** Whether the type can hold NaN and infinities. */
    public boolean floating() {
        return codec instanceof Floating;
    }

    /**
     * Bytes that one element takes in a sum: a float64, or an integer of 128 bits, in which nothing
     * is rounded.
     */
    public int sumBytes() {
        return floating() ? Double.BYTES : 2 * Long.BYTES;
    }

    /** The element at byte {@code at} of little-endian memory, rounded to float64. */
    public double get(ByteBuffer memory, int at) {
        return codec.get(memory, at);
    }

    /**
     * Writes the value of the type that is nearest to {@code value} at byte {@code at} of
     * little-endian memory.
     */
    public void put(ByteBuffer memory, int at, double value) {
        codec.put(memory, at, value);
    }

    /**
     * The element of an integer type at byte {@code at} of little-endian memory; for {@code U64}
     * its bits.
     */
    public long bits(ByteBuffer memory, int at) {
        return ((Integral) codec).reader().read(memory, at);
    }

    /** The same as it is. */
    public BigInteger integer(ByteBuffer memory, int at) {
        return ((Integral) codec).exact(memory, at);
    }

    /** Writes an integer, or what is nearest to it in the range of an integer type. */
    public void put(ByteBuffer memory, int at, BigInteger value) {
        ((Integral) codec).put(memory, at, value);
    }

    static DType of(String name, String tensor) {
        return Arrays.stream(values())
                .filter(t -> t.name().equals(name))
                .findFirst()
                .orElseThrow(
                        () ->
                                new RejectedException(
                                        RejectReason.MALFORMED,
                                        "tensor '%s' has element type '%s', supported are %s"
                                                .formatted(
                                                        tensor, name, Arrays.toString(values()))));
    }
}
