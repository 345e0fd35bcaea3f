// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.aggregate;

import io.tributary.protocol.ShortText;
import io.tributary.protocol.tensor.DType;
import io.tributary.protocol.tensor.Elements;
import io.tributary.protocol.tensor.ModelLayout;
import io.tributary.protocol.tensor.ModelLayout.Segment;
import io.tributary.protocol.tensor.TensorInfo;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Optional;

/** Finds what makes a shard of a model unusable: a value that is not finite. Stateless. */
final class ShardFlaws {

    private final ModelLayout layout;

    ShardFlaws(ModelLayout layout) {
        this.layout = layout;
    }

    /** The first flaw of a shard that is all F32; empty where there is none. */
    Optional<String> find(int shard, float[] values) {
        // Adding one to an exponent of all ones carries into the sign; no branch, so the compiler
        // makes vectors of it.
        int carry = 0;
        for (float value : values) {
            carry |= (Float.floatToRawIntBits(value) & 0x7F800000) + 0x00800000;
        }
        if (carry >= 0) {
            return Optional.empty();
        }
        int at = 0;
        while (Float.isFinite(values[at])) {
            at++;
        }
        for (Segment segment : layout.segments(shard)) {
            if (at < segment.at() + segment.count()) {
                return Optional.of(flaw(segment, at - segment.at(), values[at]));
            }
        }
        throw new AssertionError("shard %d has no element %d".formatted(shard, at));
    }

    /** The same for a shard's bytes as they stand in a model file. */
    Optional<String> find(int shard, byte[] bytes) {
        ByteBuffer elements = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
        int at = 0;
        for (Segment segment : layout.segments(shard)) {
            DType type = layout.header().tensors().get(segment.tensor()).dtype();
            for (int i = 0; type.floating() && i < segment.count(); i++) {
                double value = Elements.get(type, elements, at + i * type.bytes());
                if (!Double.isFinite(value)) {
                    return Optional.of(flaw(segment, i, value));
                }
            }
            at += segment.count() * type.bytes();
        }
        return Optional.empty();
    }

    private String flaw(Segment segment, int index, double value) {
        TensorInfo tensor = layout.header().tensors().get(segment.tensor());
        return "tensor '%s' would be %s at element %d of the new model, which %s cannot hold; its updates' values are too large to be averaged"
                .formatted(
                        ShortText.of(tensor.name(), 100),
                        value,
                        segment.from() + index,
                        tensor.dtype());
    }
}
