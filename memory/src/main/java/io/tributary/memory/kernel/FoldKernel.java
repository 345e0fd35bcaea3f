// SPDX-License-Identifier: Apache-2.0

package io.tributary.memory.kernel;

import io.tributary.protocol.tensor.DType;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * Folds elements into sums, and makes means of sums. A floating type is summed in float64, an
 * integer type exactly, in 128 bits. Every element of a sum is added to in the order of the
 * columns, so the result does not depend on how many are folded together, nor on the kernel: all
 * give the same bits for finite values. Thread-safe.
 */
public abstract sealed class FoldKernel permits NativeKernel, JavaKernel {

    private static final FoldKernel BEST = choose();

    /** The fastest that this machine has. */
    public static FoldKernel best() {
        return BEST;
    }

    private static FoldKernel choose() {
        List<FoldKernel> all = all();
        return all.get(all.size() - 1);
    }

    /** All that this machine has, the slowest first. */
    public static List<FoldKernel> all() {
        List<FoldKernel> all = new ArrayList<>();
        all.add(new JavaKernel());
        all.addAll(NativeKernel.levels());
        return all;
    }

    /** What to do for a faster one; empty where there is none. */
    public static Optional<String> advice() {
        return BEST instanceof NativeKernel
                ? Optional.empty()
                : Optional.of(
                        "several times as slow as in C; apt-get install clang libc6-dev make, and build again");
    }

    /** The best one's name and, where there is some, the advice. */
    public static String description() {
        return BEST.name() + advice().map(what -> ", " + what).orElse("");
    }

    /** What it is made of, such as {@code C, avx512}. */
    public abstract String name();

    /**
     * {@code sum[i] += Σ weight × column[i]} for each element.
     *
     * @param type of the columns' elements
     * @param columns at least one
     * @param sum of elements of {@link DType#sumBytes}
     * @param at where the first element is in the sum, in bytes
     * @param fresh whether the sum is made now, whatever its memory holds
     * @param count number of elements
     * @return whether all of these elements of the sum are finite now; they are not as soon as one
     *     of the columns' is not
     */
    public abstract boolean fold(
            DType type, Columns columns, Memory sum, long at, boolean fresh, int count);

    /**
     * {@code sum[i] += from[i]} for sums of a type.
     *
     * @param type whose sums they are
     * @param from where the other sum lies
     * @param at where the first element is in both, in bytes
     * @param count number of elements
     */
    public abstract void add(DType type, Memory from, Memory sum, long at, int count);

    /**
     * Whether elements are all finite.
     *
     * @param at where the first element is, in bytes
     * @param count number of elements
     */
    public abstract boolean finite(DType type, Memory values, long at, int count);

    /**
     * {@code to[i] = base[i] + sum[i] / weight} in float64, rounded to float32 once; without a base
     * that is 0.
     *
     * @return whether all are finite
     */
    public abstract boolean mean(ModelRun run);

    /**
     * Makes a step from the base, in float64, rounded to float32 once. Sums are multiplied by 1 /
     * weight, which takes less time than a division: what changed is right to one unit in the last
     * place of float64.
     *
     * @param less whether the base is in the sums, so that it is taken off for what changed
     * @param moments m, and behind it v, of as many elements as the run has; changed
     * @return whether all elements and moments are finite
     */
    public abstract boolean adapt(AdaptiveStep step, ModelRun run, boolean less, Memory moments);
}
