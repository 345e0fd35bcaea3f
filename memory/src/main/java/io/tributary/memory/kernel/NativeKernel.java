// SPDX-License-Identifier: Apache-2.0

package io.tributary.memory.kernel;

import com.sun.jna.Native;
import io.tributary.protocol.tensor.DType;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;

/** The kernel of {@code src/main/c}, at one level of instructions. */
final class NativeKernel extends FoldKernel {

    private static final boolean LINKED =
            NativeCode.library()
                    .map(
                            library -> {
                                Native.register(NativeKernel.class, library);
                                return true;
                            })
                    .orElse(false);

    /** For each {@link DType}, its number there. */
    private static final int[] TYPES = LINKED ? types() : new int[0];

    private final int level;

    private NativeKernel(int level) {
        this.level = level;
    }

    private static int[] types() {
        return Arrays.stream(DType.values())
                .mapToInt(
                        type -> {
                            int number = kernel_type(type.name());
                            if (number < 0) {
                                throw new IllegalStateException(
                                        "the fold's kernel in C has no element type %s; add it to TYPES in fold.h"
                                                .formatted(type));
                            }
                            return number;
                        })
                .toArray();
    }

    /** Those that this processor can run; none where the build has no native code. */
    static List<NativeKernel> levels() {
        return LINKED
                ? IntStream.rangeClosed(0, kernel_best()).mapToObj(NativeKernel::new).toList()
                : List.of();
    }

    private static native int kernel_best();

    private static native String kernel_level(int level);

    private static native int kernel_type(String name);

    private static native int kernel_fold(
            int level, int type, long sum, int fresh, long columns, int size, long count);

    private static native void kernel_add(int level, int floating, long sum, long from, long count);

    private static native int kernel_scan(int level, int type, long values, long count);

    private static native int kernel_mean(
            int level, long sum, double weight, long base, long out, long count);

    private static native int kernel_adapt(
            int level,
            long sum,
            double weight,
            long base,
            int less,
            long m,
            long v,
            long out,
            long count,
            double beta1,
            double keep,
            double add,
            int yogi,
            double rate,
            double scale,
            double tau);

    @Override
    public String name() {
        return "C, " + kernel_level(level);
    }

    @Override
    public boolean fold(
            DType type, Columns columns, Memory sum, long at, boolean fresh, int count) {
        return kernel_fold(
                        level,
                        TYPES[type.ordinal()],
                        sum.address(at),
                        fresh ? 1 : 0,
                        columns.address(),
                        columns.size(),
                        count)
                == 0;
    }

    @Override
    public void add(DType type, Memory from, Memory sum, long at, int count) {
        kernel_add(level, type.floating() ? 1 : 0, sum.address(at), from.address(at), count);
    }

    @Override
    public boolean finite(DType type, Memory values, long at, int count) {
        return kernel_scan(level, TYPES[type.ordinal()], values.address(at), count) == 0;
    }

    @Override
    public boolean mean(ModelRun run) {
        return kernel_mean(
                        level,
                        run.sumAddress(),
                        run.weight(),
                        run.baseAddress(),
                        run.toAddress(),
                        run.count())
                == 0;
    }

    @Override
    public boolean adapt(AdaptiveStep step, ModelRun run, boolean less, Memory moments) {
        return kernel_adapt(
                        level,
                        run.sumAddress(),
                        run.weight(),
                        run.baseAddress(),
                        less ? 1 : 0,
                        moments.address(0),
                        moments.address((long) run.count() * Double.BYTES),
                        run.toAddress(),
                        run.count(),
                        step.beta1(),
                        step.keep(),
                        step.add(),
                        step.yogi() ? 1 : 0,
                        step.rate(),
                        step.scale(),
                        step.tau())
                == 0;
    }
}
