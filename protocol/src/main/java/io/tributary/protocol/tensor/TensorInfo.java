// SPDX-License-Identifier: Apache-2.0

package io.tributary.protocol.tensor;

import java.util.List;

/**
 * One tensor of a safetensors file.
 *
 * @param name the framework's parameter name
 * @param dtype element type
 * @param shape dimensions, each ≥ 0; empty for a scalar
 * @param begin first byte, relative to the end of the header
 * @param end one past the last byte, relative to the end of the header
 */
public record TensorInfo(String name, DType dtype, List<Long> shape, long begin, long end) {

    public TensorInfo {
        shape = List.copyOf(shape);
    }

    /** Number of elements. */
    public long elements() {
        return (end - begin) / dtype.bytes();
    }
}
