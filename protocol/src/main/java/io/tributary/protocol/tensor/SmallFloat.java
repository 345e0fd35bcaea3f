// SPDX-License-Identifier: Apache-2.0

package io.tributary.protocol.tensor;

/**
 * A binary floating-point format of at most 16 bits: a sign, an exponent, a fraction. Rounding is
 * IEEE 754 round to nearest, ties to even. Immutable and thread-safe.
 *
 * @param exponentBits bits of the exponent; its bias is half of its range
 * @param fractionBits bits of the fraction
 * @param infinity the bits of what is too large to be represented, without the sign
 * @param nan the bits of NaN
 */
record SmallFloat(int exponentBits, int fractionBits, int infinity, int nan) {

    /** IEEE 754 binary16. */
    static final SmallFloat F16 = new SmallFloat(5, 10, 0x7C00, 0x7E00);

    /** The upper half of binary32. */
    static final SmallFloat BF16 = new SmallFloat(8, 7, 0x7F80, 0x7FC0);

    /** OCP 8-bit E5M2: the upper half of binary16. */
    static final SmallFloat F8_E5M2 = new SmallFloat(5, 2, 0x7C, 0x7E);

    /** OCP 8-bit E4M3, which has no infinities: what is too large becomes NaN. */
    static final SmallFloat F8_E4M3 = new SmallFloat(4, 3, 0x7F, 0x7F);

    private int bias() {
        return (1 << (exponentBits - 1)) - 1;
    }

    /** The value of these bits; those above the format's are ignored. */
    float decode(int bits) {
        int magnitude = bits & ((1 << (exponentBits + fractionBits)) - 1);
        int exponent = magnitude >> fractionBits;
        int fraction = magnitude & ((1 << fractionBits) - 1);
        float value;
        if (magnitude >= infinity) {
            value = magnitude == infinity && infinity != nan ? Float.POSITIVE_INFINITY : Float.NaN;
        } else if (exponent == 0) {
            value = Math.scalb((float) fraction, 1 - bias() - fractionBits);
        } else {
            value =
                    Float.intBitsToFloat(
                            (exponent + 127 - bias()) << 23 | fraction << (23 - fractionBits));
        }
        return (bits >> (exponentBits + fractionBits) & 1) == 0 ? value : -value;
    }

    /** The bits of the nearest value, straight from float64 so that it rounds once. */
    int encode(double value) {
        if (Double.isNaN(value)) {
            return nan;
        }
        int sign = Double.doubleToRawLongBits(value) < 0 ? 1 << (exponentBits + fractionBits) : 0;
        double magnitude = Math.abs(value);
        // One unit in the last place at this magnitude; subnormals share the smallest.
        int exponent = Math.max(Math.getExponent(magnitude), 1 - bias());
        double units = Math.rint(Math.scalb(magnitude, fractionBits - exponent));
        // A carry out of the fraction runs into the exponent field, which is what IEEE 754 wants.
        double bits = units + ((double) (exponent + bias() - 1)) * (1 << fractionBits);
        return sign | (int) Math.min(bits, infinity);
    }
}
