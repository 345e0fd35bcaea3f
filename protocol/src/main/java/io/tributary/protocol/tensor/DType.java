// SPDX-License-Identifier: Apache-2.0

package io.tributary.protocol.tensor;

import io.tributary.protocol.RejectReason;
import io.tributary.protocol.RejectedException;
import java.util.Arrays;

/**
 * Element types of tensors, named as safetensors names them. Floating types are averaged and
 * rounded to the nearest value of the type; the others are averaged in float64 and rounded half to
 * even, saturating at the type's range ({@code BOOL}: 0 or 1).
 */
public enum DType {
    F64(8, true),
    F32(4, true),
    F16(2, true),
    BF16(2, true),
    I64(8, false),
    I32(4, false),
    I8(1, false),
    U8(1, false),
    BOOL(1, false);

    private final int bytes;
    private final boolean floating;

    DType(int bytes, boolean floating) {
        this.bytes = bytes;
        this.floating = floating;
    }

    /** Bytes of one element. */
    public int bytes() {
        return bytes;
    }

    /** Whether the type can hold NaN and infinities. */
    public boolean floating() {
        return floating;
    }

    static DType of(String name, String tensor) {
        return Arrays.stream(values())
                .filter(t -> t.name().equals(name))
                .findFirst()
                .orElseThrow(
                        () ->
                                new RejectedException(
                                        RejectReason.MALFORMED,
                                        "tensor '%s' has element type '%s', supported are %s"
                                                .formatted(
                                                        tensor, name, Arrays.toString(values()))));
    }
}
