// SPDX-License-Identifier: Apache-2.0

package io.tributary.memory.kernel;

import io.tributary.protocol.tensor.DType;
import java.nio.ByteBuffer;
import java.nio.DoubleBuffer;
import java.util.Arrays;

/**
 * The same arithmetic in Java, block by block in arrays that stay in the cache: the compiler makes
 * better code for them than for buffers.
 */
final class JavaKernel extends FoldKernel {

    private static final int BLOCK = 1024;
    private static final long F64_EXPONENT = 0x7FF0000000000000L;
    private static final int F32_EXPONENT = 0x7F800000;

    /** What one thread works in. */
    private static final class Workspace {

        private final double[] sum = new double[BLOCK];
        private final double[] wide = new double[BLOCK];
        private final float[] narrow = new float[BLOCK];
        private final float[][] four = new float[4][BLOCK];
        private final int[] bits = new int[BLOCK];
        private final double[] m = new double[BLOCK];
        private final double[] v = new double[BLOCK];
    }

    private static final ThreadLocal<Workspace> WORKSPACE = ThreadLocal.withInitial(Workspace::new);

    @Override
    public String name() {
        return "Java";
    }

    @Override
    public boolean fold(
            DType type, Columns columns, Memory sum, long at, boolean fresh, int count) {
        if (!type.floating()) {
            foldIntegers(type, columns, sum, at, fresh, count);
            return true;
        }
        Workspace work = WORKSPACE.get();
        boolean finite = true;
        for (int from = 0; from < count; from += BLOCK) {
            int n = Math.min(BLOCK, count - from);
            ByteBuffer total = sum.slice(at + (long) from * Double.BYTES, n * Double.BYTES);
            if (fresh) {
                Arrays.fill(work.sum, 0);
            } else {
                total.asDoubleBuffer().get(work.sum, 0, n);
            }
            int c = 0;
            for (; type == DType.F32 && c + 4 <= columns.size(); c += 4) {
                addFour(columns, c, from, n, work);
            }
            for (; c < columns.size(); c++) {
                ByteBuffer elements =
                        columns.elements(c, (long) from * type.bytes(), n * type.bytes());
                add(type, elements, columns.weight(c), work, n);
            }
            finite &= finite(work.sum, n);
            total.asDoubleBuffer().put(work.sum, 0, n);
        }
        return finite;
    }

    private static void add(
            DType type, ByteBuffer elements, double weight, Workspace work, int count) {
        if (type == DType.F32) {
            elements.asFloatBuffer().get(work.narrow, 0, count);
            add(work.narrow, weight, work.sum, count);
        } else if (type == DType.F64) {
            elements.asDoubleBuffer().get(work.wide, 0, count);
            add(work.wide, weight, work.sum, count);
        } else {
            for (int i = 0; i < count; i++) {
                work.wide[i] = type.get(elements, i * type.bytes());
            }
            add(work.wide, weight, work.sum, count);
        }
    }

    /** Four columns at a time, so that the sum is read and written once for all of them. */
    private static void addFour(Columns columns, int first, int from, int count, Workspace work) {
        for (int c = 0; c < 4; c++) {
            columns.elements(first + c, (long) from * Float.BYTES, count * Float.BYTES)
                    .asFloatBuffer()
                    .get(work.four[c], 0, count);
        }
        addFour(
                work.four,
                columns.weight(first),
                columns.weight(first + 1),
                columns.weight(first + 2),
                columns.weight(first + 3),
                work.sum,
                count);
    }

    private static void addFour(
            float[][] values, double w0, double w1, double w2, double w3, double[] sum, int count) {
        float[] v0 = values[0];
        float[] v1 = values[1];
        float[] v2 = values[2];
        float[] v3 = values[3];
        for (int i = 0; i < count; i++) {
            sum[i] = sum[i] + w0 * v0[i] + w1 * v1[i] + w2 * v2[i] + w3 * v3[i];
        }
    }

    private static void add(float[] values, double weight, double[] sum, int count) {
        for (int i = 0; i < count; i++) {
            sum[i] += weight * values[i];
        }
    }

    private static void add(double[] values, double weight, double[] sum, int count) {
        for (int i = 0; i < count; i++) {
            sum[i] += weight * values[i];
        }
    }

    /** One more in an exponent of all ones carries into the sign. */
    private static boolean finite(double[] values, int count) {
        long bad = 0;
        for (int i = 0; i < count; i++) {
            bad |=
                    (Double.doubleToRawLongBits(values[i]) & F64_EXPONENT)
                            + (Long.MIN_VALUE - F64_EXPONENT);
        }
        return bad >= 0;
    }

    private static void foldIntegers(
            DType type, Columns columns, Memory sum, long at, boolean fresh, int count) {
        int size = type.bytes();
        for (int from = 0; from < count; from += BLOCK) {
            int n = Math.min(BLOCK, count - from);
            ByteBuffer total = sum.slice(at + (long) from * type.sumBytes(), n * type.sumBytes());
            if (fresh) {
                total.duplicate().put(new byte[n * type.sumBytes()]);
            }
            for (int c = 0; c < columns.size(); c++) {
                long weight = (long) columns.weight(c);
                ByteBuffer elements = columns.elements(c, (long) from * size, n * size);
                for (int i = 0; i < n; i++) {
                    long value = type.bits(elements, i * size);
                    long high = Math.multiplyHigh(weight, value);
                    if (type == DType.U64 && value < 0) {
                        high += weight;
                    }
                    add(total, i, weight * value, high);
                }
            }
        }
    }

    private static void add(ByteBuffer sum, int index, long low, long high) {
        int at = index * 2 * Long.BYTES;
        long before = sum.getLong(at);
        long after = before + low;
        long carry = Long.compareUnsigned(after, before) < 0 ? 1 : 0;
        sum.putLong(at, after);
        sum.putLong(at + Long.BYTES, sum.getLong(at + Long.BYTES) + high + carry);
    }

    @Override
    public void add(DType type, Memory from, Memory sum, long at, int count) {
        int size = type.sumBytes();
        Workspace work = WORKSPACE.get();
        for (int begin = 0; begin < count; begin += BLOCK) {
            int n = Math.min(BLOCK, count - begin);
            ByteBuffer into = sum.slice(at + (long) begin * size, n * size);
            ByteBuffer more = from.slice(at + (long) begin * size, n * size);
            if (type.floating()) {
                into.asDoubleBuffer().get(work.sum, 0, n);
                more.asDoubleBuffer().get(work.wide, 0, n);
                add(work.wide, 1, work.sum, n);
                into.asDoubleBuffer().put(work.sum, 0, n);
            } else {
                for (int i = 0; i < n; i++) {
                    add(into, i, more.getLong(i * size), more.getLong(i * size + Long.BYTES));
                }
            }
        }
    }

    @Override
    public boolean finite(DType type, Memory values, long at, int count) {
        if (!type.floating()) {
            return true;
        }
        int size = type.bytes();
        Workspace work = WORKSPACE.get();
        boolean finite = true;
        for (int from = 0; from < count && finite; from += BLOCK) {
            int n = Math.min(BLOCK, count - from);
            ByteBuffer elements = values.slice(at + (long) from * size, n * size);
            if (type == DType.F32) {
                elements.asIntBuffer().get(work.bits, 0, n);
                finite = finite(work.bits, n);
            } else {
                for (int i = 0; i < n; i++) {
                    work.wide[i] = type.get(elements, i * size);
                }
                finite = finite(work.wide, n);
            }
        }
        return finite;
    }

    private static boolean finite(int[] floats, int count) {
        int bad = 0;
        for (int i = 0; i < count; i++) {
            bad |= (floats[i] & F32_EXPONENT) + (Integer.MIN_VALUE - F32_EXPONENT);
        }
        return bad >= 0;
    }

    @Override
    public boolean mean(ModelRun run) {
        Workspace work = WORKSPACE.get();
        boolean finite = true;
        for (int from = 0; from < run.count(); from += BLOCK) {
            int n = Math.min(BLOCK, run.count() - from);
            sums(run, from, n, work);
            for (int i = 0; i < n; i++) {
                work.sum[i] /= run.weight();
            }
            if (run.base() != null) {
                base(run, from, n, work);
                add(work.narrow, 1, work.sum, n);
            }
            finite &= put(run, from, n, work);
        }
        return finite;
    }

    @Override
    public boolean adapt(AdaptiveStep step, ModelRun run, boolean less, Memory moments) {
        Workspace work = WORKSPACE.get();
        boolean finite = true;
        for (int from = 0; from < run.count(); from += BLOCK) {
            int n = Math.min(BLOCK, run.count() - from);
            DoubleBuffer m = doubles(moments, (long) from * Double.BYTES, n);
            DoubleBuffer v = doubles(moments, ((long) run.count() + from) * Double.BYTES, n);
            m.get(0, work.m, 0, n);
            v.get(0, work.v, 0, n);
            sums(run, from, n, work);
            base(run, from, n, work);
            double share = 1 / run.weight();
            for (int i = 0; i < n; i++) {
                double start = work.narrow[i];
                work.wide[i] = work.sum[i] * share - (less ? start : 0);
                work.sum[i] = start;
            }
            step.apply(work.sum, work.wide, work.m, work.v, n);
            m.put(0, work.m, 0, n);
            v.put(0, work.v, 0, n);
            finite &= finite(work.m, n) & finite(work.v, n);
            finite &= put(run, from, n, work);
        }
        return finite;
    }

    private static void sums(ModelRun run, int from, int count, Workspace work) {
        doubles(run.sum(), run.at() + (long) from * Double.BYTES, count).get(work.sum, 0, count);
    }

    private static void base(ModelRun run, int from, int count, Workspace work) {
        run.base()
                .slice(run.baseAt() + (long) from * Float.BYTES, count * Float.BYTES)
                .asFloatBuffer()
                .get(work.narrow, 0, count);
    }

    /** Rounds elements to float32; says whether they are finite. */
    private static boolean put(ModelRun run, int from, int count, Workspace work) {
        boolean finite = true;
        for (int i = 0; i < count; i++) {
            work.narrow[i] = (float) work.sum[i];
            finite &= Float.isFinite(work.narrow[i]);
        }
        run.sum()
                .slice(run.to() + (long) from * Float.BYTES, count * Float.BYTES)
                .asFloatBuffer()
                .put(work.narrow, 0, count);
        return finite;
    }

    private static DoubleBuffer doubles(Memory memory, long at, int count) {
        return memory.slice(at, count * Double.BYTES).asDoubleBuffer();
    }
}
