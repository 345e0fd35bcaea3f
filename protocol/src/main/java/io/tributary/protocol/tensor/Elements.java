// SPDX-License-Identifier: Apache-2.0

package io.tributary.protocol.tensor;

import java.nio.ByteBuffer;

/**
 * Conversions between little-endian element bytes and float64. Rounding is IEEE 754 round to
 * nearest, ties to even, for every type. Stateless and thread-safe.
 */
public final class Elements {

    private Elements() {}

    /**
     * The element at byte {@code at} of a little-endian buffer, exactly (I64: rounded to 53 bits).
     */
    public static double get(DType type, ByteBuffer buffer, int at) {
        return switch (type) {
            case F64 -> buffer.getDouble(at);
            case F32 -> buffer.getFloat(at);
            case F16 -> fromF16(buffer.getShort(at));
            case BF16 -> fromBf16(buffer.getShort(at));
            case I64 -> buffer.getLong(at);
            case I32 -> buffer.getInt(at);
            case I8 -> buffer.get(at);
            case U8 -> buffer.get(at) & 0xFF;
            case BOOL -> buffer.get(at) == 0 ? 0 : 1;
        };
    }

    /** Writes {@code value}, rounded to the type, at byte {@code at} of a little-endian buffer. */
    public static void put(DType type, ByteBuffer buffer, int at, double value) {
        switch (type) {
            case F64 -> buffer.putDouble(at, value);
            case F32 -> buffer.putFloat(at, (float) value);
            case F16 -> buffer.putShort(at, toF16(value));
            case BF16 -> buffer.putShort(at, toBf16(value));
            case I64 -> buffer.putLong(at, (long) Math.rint(value));
            case I32 -> buffer.putInt(at, (int) clamp(value, Integer.MIN_VALUE, Integer.MAX_VALUE));
            case I8 -> buffer.put(at, (byte) clamp(value, Byte.MIN_VALUE, Byte.MAX_VALUE));
            case U8 -> buffer.put(at, (byte) clamp(value, 0, 255));
            case BOOL -> buffer.put(at, (byte) clamp(value, 0, 1));
            default -> throw new AssertionError(type);
        }
    }

    private static long clamp(double value, long low, long high) {
        return (long) Math.max(low, Math.min(high, Math.rint(value)));
    }

    /** The value of binary16 bits. */
    public static float fromF16(short bits) {
        int exponent = (bits >> 10) & 0x1F;
        int fraction = bits & 0x3FF;
        float magnitude;
        if (exponent == 0) {
            magnitude = fraction * 0x1p-24f;
        } else if (exponent == 31) {
            magnitude = fraction == 0 ? Float.POSITIVE_INFINITY : Float.NaN;
        } else {
            magnitude = Float.intBitsToFloat(((exponent + 112) << 23) | (fraction << 13));
        }
        return bits < 0 ? -magnitude : magnitude;
    }

    /** The nearest binary16, ties to even, straight from float64 so that it rounds once. */
    public static short toF16(double value) {
        int sign = Double.doubleToRawLongBits(value) < 0 ? 0x8000 : 0;
        double magnitude = Math.abs(value);
        if (Double.isNaN(value)) {
            return (short) 0x7E00;
        }
        if (magnitude >= 65520.0) {
            return (short) (sign | 0x7C00);
        }
        // One unit in the last place at this magnitude; subnormals share the smallest.
        int exponent = Math.max(Math.getExponent(magnitude), -14);
        double units = Math.rint(Math.scalb(magnitude, 10 - exponent));
        // A carry out of the fraction runs into the exponent field, which is what IEEE 754 wants.
        int bits = (int) units + ((exponent + 14) << 10);
        return (short) (sign | bits);
    }

    /** The value of bfloat16 bits. */
    public static float fromBf16(short bits) {
        return Float.intBitsToFloat(bits << 16);
    }

    /** The nearest bfloat16, ties to even, straight from float64 so that it rounds once. */
    public static short toBf16(double value) {
        if (Double.isNaN(value)) {
            return (short) 0x7FC0;
        }
        int sign = Double.doubleToRawLongBits(value) < 0 ? 0x8000 : 0;
        double magnitude = Math.abs(value);
        if (magnitude == Double.POSITIVE_INFINITY) {
            return (short) (sign | 0x7F80);
        }
        int exponent = Math.max(Math.getExponent(magnitude), -126);
        double units = Math.rint(Math.scalb(magnitude, 7 - exponent));
        int bits = (int) Math.min(units + ((exponent + 126) * 128.0), 0x7F80);
        return (short) (sign | bits);
    }
}
