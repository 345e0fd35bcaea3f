// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.aggregate;

import io.tributary.memory.kernel.FoldKernel;
import io.tributary.memory.kernel.Memory;
import io.tributary.memory.kernel.ModelRun;
import io.tributary.protocol.ShortText;
import io.tributary.protocol.tensor.DType;
import io.tributary.protocol.tensor.ModelLayout;
import io.tributary.protocol.tensor.ModelLayout.Segment;
import io.tributary.protocol.tensor.TensorInfo;
import java.math.BigDecimal;
import java.math.BigInteger;
import java.nio.ByteBuffer;
import java.util.Optional;

/**
 * Makes a shard of a model of its sums, in their own memory: {@code base + sum / weight} for each
 * element, rounded to its type once. A mean takes no more bytes than its sum, so whatever is
 * written lies over what has been read. Not thread-safe.
 */
final class ShardMean {

    /** Weights are exact below it, and so are means of integers. */
    private static final double MAX_WEIGHT = 0x1p53;

    private final ModelLayout layout;
    private final FoldKernel kernel = FoldKernel.best();
    private float[] narrow = new float[0];

    ShardMean(ModelLayout layout) {
        this.layout = layout;
    }

    /**
     * Writes the means of a run where its sums are.
     *
     * @param weight Σ weights, &gt; 0
     * @param base the shard of a model that means are added to; without, there is none
     * @return why the run cannot be used; empty where it can
     */
    Optional<String> write(Segment segment, Memory sum, double weight, Optional<Memory> base) {
        DType type = layout.type(segment);
        if (type == DType.F32) {
            return floats(segment, sum, weight, base);
        }
        return type.floating()
                ? others(segment, sum, weight, base)
                : integers(segment, sum, weight, base);
    }

    /** Writes the elements of a run as they are in a model. */
    void keep(Segment segment, Memory sum, Memory model) {
        elements(segment, sum).put(elements(segment, model));
    }

    /**
     * Writes other elements of a floating run where its sums are, each rounded once.
     *
     * @return why the run cannot be used; empty where it can
     */
    Optional<String> put(Segment segment, Memory sum, double[] values) {
        DType type = layout.type(segment);
        ByteBuffer to = elements(segment, sum);
        if (type == DType.F32) {
            // Most are, and a call for each element takes long.
            if (narrow.length != values.length) {
                narrow = new float[values.length];
            }
            for (int i = 0; i < narrow.length; i++) {
                narrow[i] = (float) values[i];
            }
            to.asFloatBuffer().put(narrow);
            return finite(segment, sum);
        }
        for (int i = 0; i < segment.count(); i++) {
            type.put(to, i * type.bytes(), values[i]);
        }
        return finite(segment, sum);
    }

    /** Why the new elements of a run cannot be used; empty where they can. */
    Optional<String> finite(Segment segment, Memory sum) {
        return kernel.finite(layout.type(segment), sum, segment.fileAt(), segment.count())
                ? Optional.empty()
                : Optional.of(notFinite(segment, sum));
    }

    private Optional<String> floats(
            Segment segment, Memory sum, double weight, Optional<Memory> base) {
        boolean finite = kernel.mean(run(segment, sum, weight, base.orElse(null)));
        return finite ? Optional.empty() : Optional.of(notFinite(segment, sum));
    }

    /** The same run for the kernel. */
    static ModelRun run(Segment segment, Memory sum, double weight, Memory base) {
        return new ModelRun(
                sum,
                segment.sumAt(),
                weight,
                base,
                segment.fileAt(),
                segment.fileAt(),
                segment.count());
    }

    private Optional<String> others(
            Segment segment, Memory sum, double weight, Optional<Memory> base) {
        DType type = layout.type(segment);
        ByteBuffer from = sums(segment, sum);
        ByteBuffer to = elements(segment, sum);
        Optional<ByteBuffer> start = base.map(memory -> elements(segment, memory));
        for (int i = 0; i < segment.count(); i++) {
            double mean = from.getDouble(i * Double.BYTES) / weight;
            int at = i * type.bytes();
            type.put(to, at, start.isPresent() ? type.get(start.get(), at) + mean : mean);
        }
        return finite(segment, sum);
    }

    private Optional<String> integers(
            Segment segment, Memory sum, double weight, Optional<Memory> base) {
        if (weight >= MAX_WEIGHT) {
            return Optional.of(
                    "tensor '%s': the round's updates have %s samples together, and integers are averaged exactly below 2^53; give the updates smaller weights"
                            .formatted(name(segment), weight));
        }
        DType type = layout.type(segment);
        ByteBuffer from = sums(segment, sum);
        ByteBuffer to = elements(segment, sum);
        Optional<ByteBuffer> start = base.map(memory -> elements(segment, memory));
        BigInteger divisor = new BigDecimal(weight).toBigInteger();
        for (int i = 0; i < segment.count(); i++) {
            int sumAt = i * type.sumBytes();
            BigInteger dividend =
                    DType.I64
                            .integer(from, sumAt + Long.BYTES)
                            .shiftLeft(Long.SIZE)
                            .add(DType.U64.integer(from, sumAt));
            int at = i * type.bytes();
            if (start.isPresent()) {
                dividend = dividend.add(type.integer(start.get(), at).multiply(divisor));
            }
            type.put(to, at, rounded(dividend, divisor));
        }
        return Optional.empty();
    }

    /** The quotient, rounded half to even. */
    static BigInteger rounded(BigInteger dividend, BigInteger divisor) {
        BigInteger[] parts = dividend.divideAndRemainder(divisor);
        int half = parts[1].abs().shiftLeft(1).compareTo(divisor);
        boolean away = half > 0 || half == 0 && parts[0].testBit(0);
        return away ? parts[0].add(BigInteger.valueOf(dividend.signum())) : parts[0];
    }

    private ByteBuffer sums(Segment segment, Memory sum) {
        return sum.slice(segment.sumAt(), segment.count() * layout.type(segment).sumBytes());
    }

    /** The elements of a run as they stand in a model: the means, or what they are added to. */
    private ByteBuffer elements(Segment segment, Memory shard) {
        return shard.slice(segment.fileAt(), segment.count() * layout.type(segment).bytes());
    }

    private String notFinite(Segment segment, Memory sum) {
        DType type = layout.type(segment);
        ByteBuffer means = elements(segment, sum);
        int at = 0;
        while (Double.isFinite(type.get(means, at * type.bytes()))) {
            at++;
        }
        return "tensor '%s' would be %s at element %d of the new model, which %s cannot hold; its updates' values are too large to be averaged"
                .formatted(
                        name(segment),
                        type.get(means, at * type.bytes()),
                        segment.from() + at,
                        type);
    }

    private String name(Segment segment) {
        TensorInfo tensor = layout.header().tensors().get(segment.tensor());
        return ShortText.of(tensor.name(), 100);
    }
}
