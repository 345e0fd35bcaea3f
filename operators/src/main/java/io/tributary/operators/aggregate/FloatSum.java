// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.aggregate;

import io.tributary.shm.region.OwnedRegion;
import java.nio.ByteBuffer;

/**
 * A float32 sum in a region, so that it can be handed to the parent as it lies. Rounding errors
 * grow with the number of additions, so they are counted. Not thread-safe.
 */
final class FloatSum {

    /** Bounds what is lost by rounding; docs/architecture.md says by how much. */
    private static final int MAX_ADDITIONS = 24;

    /**
     * What weights are multiplied with in a float32 sum, so that values near float32's largest do
     * not overflow it; a power of two, so nothing is rounded.
     */
    static final float SCALE = 0x1p-32f;

    /** What undoes it. */
    static final double UNSCALE = 0x1p32;

    private final OwnedRegion region;
    private final ByteBuffer bytes;
    private final long address;
    private int additions;

    private FloatSum(OwnedRegion region, int elements, int additions) {
        this.region = region;
        this.bytes = region.memory().slice(0, elements * Float.BYTES);
        this.address = FloatKernel.address(bytes);
        this.additions = additions;
    }

    /** A sum that is zero. */
    static FloatSum zero(OwnedRegion region, int elements) {
        FloatSum sum = new FloatSum(region, elements, 0);
        sum.clear();
        return sum;
    }

    /** A child's sum, to be added to. */
    static FloatSum adopted(OwnedRegion region, int elements) {
        return new FloatSum(region, elements, 1);
    }

    OwnedRegion region() {
        return region;
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

    /** Adds what is in it, unscaled, to {@code wide}. */
    void addTo(double[] wide) {
        float[] values = copy(wide.length);
        for (int i = 0; i < values.length; i++) {
            wide[i] += values[i] * UNSCALE;
        }
    }

    void clear() {
        FloatKernel.zero(address, bytes.capacity());
        additions = 0;
    }
}
