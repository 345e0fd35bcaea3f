// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.aggregate;

import io.tributary.shm.region.OwnedRegion;
import java.nio.ByteBuffer;

/**
 * A float32 sum in a region, so that it can be handed to the parent as it lies. It is kept times a
 * power of two, by which nothing is rounded, chosen so that neither what is large overflows nor
 * what is small vanishes: the magnitudes of all that is added are known. Rounding errors grow with
 * the number of additions, so they are counted. Not thread-safe.
 */
final class FloatSum {

    /** Bounds what is lost by rounding; docs/architecture.md says by how much. */
    private static final int MAX_ADDITIONS = 24;

    /** Elements times the scale stay below 2 to the power of this. */
    private static final int MAX_EXPONENT = 127;

    /** What is added first leaves room for as much again 2 to the power of this times. */
    private static final int HEADROOM = 7;

    /** A weight times the scale is to be a float32 that is not subnormal, and finite. */
    private static final int MIN_SCALE = -120;

    private static final int MAX_SCALE = 60;

    private final OwnedRegion region;
    private final ByteBuffer bytes;
    private final long address;
    private int additions;
    private int scale;
    private double bound;

    private FloatSum(OwnedRegion region, int elements, int additions, int scale, double bound) {
        this.region = region;
        this.bytes = region.memory().slice(0, elements * Float.BYTES);
        this.address = FloatKernel.address(bytes);
        this.additions = additions;
        this.scale = scale;
        this.bound = bound;
    }

    /** A sum that is zero. */
    static FloatSum zero(OwnedRegion region, int elements) {
        FloatSum sum = new FloatSum(region, elements, 0, 0, 0);
        sum.clear();
        return sum;
    }

    /** A child's sum, to be added to. */
    static FloatSum adopted(OwnedRegion region, int elements, int scale, double bound) {
        return new FloatSum(region, elements, 1, scale, bound);
    }

    OwnedRegion region() {
        return region;
    }

    /** What is in it is the sum times 2 to the power of this. */
    int scale() {
        return scale;
    }

    /** No element of the sum has a larger magnitude. */
    double bound() {
        return bound;
    }

    /**
     * Makes it ready for something more.
     *
     * @param more no element of what is to be added has a larger magnitude
     * @return false where it must be emptied first
     */
    boolean admits(double more) {
        if (bound == 0 && additions == 0) {
            int exponent = more == 0 ? -MAX_EXPONENT : Math.getExponent(more) + 1;
            scale = Math.max(MIN_SCALE, Math.min(MAX_SCALE, MAX_EXPONENT - HEADROOM - exponent));
        }
        double all = bound + more;
        boolean fits = additions == 0 || Math.getExponent(all) + 1 + scale <= MAX_EXPONENT;
        if (fits) {
            bound = all;
        }
        return fits;
    }

    /** What a weight is multiplied with in here. */
    float factor(double weight) {
        return (float) Math.scalb(weight, scale);
    }

    /**
     * Adds vectors to {@code count} elements from {@code at} on.
     *
     * @return how many times each of them was rounded
     */
    int add(FloatKernel.Weighted[] vectors, int at, int count) {
        return FloatKernel.fold(vectors, address + (long) at * Float.BYTES, count);
    }

    /** Notes how many times an element has been rounded, those that were most. */
    void rounded(int times) {
        additions += times;
    }

    boolean exhausted() {
        return additions >= MAX_ADDITIONS;
    }

    void set(float[] values) {
        bytes.asFloatBuffer().put(values);
    }

    float[] copy(int elements) {
        float[] values = new float[elements];
        bytes.asFloatBuffer().get(values);
        return values;
    }

    /** What undoes the scale. */
    double unscale() {
        return Math.scalb(1.0, -scale);
    }

    /** Adds what is in it, unscaled, to {@code wide}. */
    void addTo(double[] wide) {
        float[] values = copy(wide.length);
        double unscale = unscale();
        for (int i = 0; i < values.length; i++) {
            wide[i] += values[i] * unscale;
        }
    }

    void clear() {
        FloatKernel.zero(address, bytes.capacity());
        additions = 0;
        bound = 0;
    }
}
