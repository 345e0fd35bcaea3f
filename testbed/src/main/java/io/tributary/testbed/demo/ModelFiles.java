// SPDX-License-Identifier: Apache-2.0

package io.tributary.testbed.demo;

import io.tributary.protocol.tensor.SafetensorsHeader;
import io.tributary.protocol.tensor.TensorInfo;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.function.Function;

/** Writes small models of F32 tensors. */
public final class ModelFiles {

    private ModelFiles() {}

    /** Writes a safetensors file. */
    public static void write(Path file, SafetensorsHeader header, Function<String, float[]> values)
            throws IOException {
        ByteBuffer bytes =
                ByteBuffer.allocate(Math.toIntExact(header.fileLength()))
                        .order(ByteOrder.LITTLE_ENDIAN);
        bytes.put(header.bytes());
        for (TensorInfo tensor : header.tensors()) {
            for (float value : values.apply(tensor.name())) {
                bytes.putFloat(value);
            }
        }
        Files.write(file, bytes.array());
    }
}
