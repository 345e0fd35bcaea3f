// SPDX-License-Identifier: Apache-2.0

package io.tributary.protocol;

/**
 * Joins CRC-32C checksums of bytes that follow one another, so that what was written in pieces need
 * not be read again. Checksums are polynomials over GF(2) modulo that of Castagnoli, bits reversed;
 * those of the first part are multiplied by x to the power of the second part's bits. Stateless and
 * thread-safe.
 */
public final class Crc32c {

    private static final int POLYNOMIAL = 0x82F63B78;

    /** The polynomial 1. */
    private static final int ONE = 1 << 31;

    /** x to the power of 2 to the power of the index. */
    private static final int[] POWERS = powers();

    private Crc32c() {}

    private static int[] powers() {
        int[] powers = new int[Long.SIZE];
        powers[0] = ONE >>> 1;
        for (int i = 1; i < powers.length; i++) {
            powers[i] = product(powers[i - 1], powers[i - 1]);
        }
        return powers;
    }

    private static int product(int a, int b) {
        int product = 0;
        int shifted = b;
        for (int bit = ONE; bit != 0; bit >>>= 1) {
            if ((a & bit) != 0) {
                product ^= shifted;
            }
            shifted = (shifted & 1) == 0 ? shifted >>> 1 : shifted >>> 1 ^ POLYNOMIAL;
        }
        return product;
    }

    /**
     * The checksum of two parts together.
     *
     * @param first of the first part
     * @param second of the second part
     * @param secondBytes the second part's length, ≥ 0
     */
    public static int join(int first, int second, long secondBytes) {
        int shift = ONE;
        // Bits are bytes times 8, which is 2 to the power of 3.
        int power = 3;
        for (long rest = secondBytes; rest != 0; rest >>>= 1) {
            if ((rest & 1) != 0) {
                shift = product(POWERS[power], shift);
            }
            power++;
        }
        return product(shift, first) ^ second;
    }
}
