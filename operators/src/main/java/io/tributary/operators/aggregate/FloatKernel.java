// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.aggregate;

import io.tributary.shm.guard.MemoryGuard;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.Comparator;
import org.bytedeco.javacpp.BytePointer;
import org.bytedeco.javacpp.FloatPointer;
import org.bytedeco.javacpp.Loader;
import org.bytedeco.javacpp.Pointer;
import org.bytedeco.openblas.global.openblas_nolapack;

/**
 * Adds weighted float32 vectors, read where they lie, to a float32 sum, by ND4J's BLAS. One vector
 * is {@code axpy}. Vectors that lie at equal distances in memory, as regions of one size that are
 * mapped one after the other do, are the columns of a matrix, and folding them is {@code gemv}: the
 * sum is read and written once for all of them, and the memory streams in side by side. Any two
 * vectors lie at equal distances. Stateless and thread-safe.
 */
public final class FloatKernel {

    /** More columns in one call do not make it faster. */
    private static final int MAX_COLUMNS = 8;

    private static final int COLUMN_MAJOR = openblas_nolapack.CblasColMajor;
    private static final int NO_TRANSPOSE = openblas_nolapack.CblasNoTrans;

    static {
        // First, and never beside it: JavaCPP looks symbols up while it holds the lock of the list
        // of libraries, and who loads one, as JNA does for the guard, takes these locks in the
        // other order.
        MemoryGuard.install();
        Loader.load(openblas_nolapack.class);
        // Flink's slots are the threads.
        openblas_nolapack.blas_set_num_threads(1);
    }

    private FloatKernel() {}

    /**
     * A vector and its weight.
     *
     * @param address of its first element
     * @param weight what it is multiplied with
     */
    public record Weighted(long address, float weight) {}

    /** Memory at an address, as the BLAS wants it. */
    private static final class At extends FloatPointer {

        At(long address) {
            super((Pointer) null);
            this.address = address;
        }
    }

    /** The address of the byte at a direct buffer's position. */
    public static long address(ByteBuffer buffer) {
        try (BytePointer pointer = new BytePointer(buffer)) {
            return pointer.address() + pointer.position();
        }
    }

    /** The sum of the magnitudes of {@code count} values. */
    static float magnitude(long address, int count) {
        return openblas_nolapack.cblas_sasum(count, new At(address), 1);
    }

    /** Sets memory to zero. */
    static void zero(long address, long bytes) {
        Pointer.memset(new At(address), 0, bytes);
    }

    /**
     * {@code sum[i] += Σ weight × vector[i]}.
     *
     * @param vectors at least one
     * @param sum address of the sum
     * @param count number of elements
     * @return how many times each element of the sum was rounded
     */
    public static int fold(Weighted[] vectors, long sum, int count) {
        Weighted[] sorted = vectors.clone();
        Arrays.sort(sorted, Comparator.comparingLong(Weighted::address));
        At target = new At(sum);
        int calls = 0;
        int from = 0;
        while (from < sorted.length) {
            int to = endOfRun(sorted, from, count);
            if (to - from == 2 && endOfRun(sorted, from + 1, count) > to) {
                // A stray beside a longer run; the run is worth more than the pair.
                to = from + 1;
            }
            if (to - from == 1) {
                openblas_nolapack.cblas_saxpy(
                        count, sorted[from].weight(), new At(sorted[from].address()), 1, target, 1);
            } else {
                columns(sorted, from, to, target, count);
            }
            calls++;
            from = to;
        }
        return calls;
    }

    private static void columns(Weighted[] sorted, int from, int to, At target, int count) {
        float[] weights = new float[to - from];
        for (int i = 0; i < weights.length; i++) {
            weights[i] = sorted[from + i].weight();
        }
        int distance = distance(sorted, from, count);
        try (FloatPointer vector = new FloatPointer(weights)) {
            openblas_nolapack.cblas_sgemv(
                    COLUMN_MAJOR,
                    NO_TRANSPOSE,
                    count,
                    weights.length,
                    1f,
                    new At(sorted[from].address()),
                    distance,
                    vector,
                    1,
                    1f,
                    target,
                    1);
        }
    }

    /** Where the vectors from {@code from} on stop to lie at equal distances. */
    private static int endOfRun(Weighted[] sorted, int from, int count) {
        int distance = distance(sorted, from, count);
        int to = from + 1;
        while (distance > 0
                && to < sorted.length
                && to - from < MAX_COLUMNS
                && distance(sorted, to - 1, count) == distance) {
            to++;
        }
        return to;
    }

    /** From one vector to the next, in elements; 0 where they cannot be columns. */
    private static int distance(Weighted[] sorted, int index, int count) {
        if (index + 1 >= sorted.length) {
            return 0;
        }
        long bytes = sorted[index + 1].address() - sorted[index].address();
        long elements = bytes / Float.BYTES;
        return bytes % Float.BYTES == 0 && elements >= count && elements <= Integer.MAX_VALUE
                ? (int) elements
                : 0;
    }
}
