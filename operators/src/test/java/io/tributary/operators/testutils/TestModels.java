// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.testutils;

import io.tributary.operators.model.ModelSpec;
import io.tributary.protocol.message.PayloadRef;
import io.tributary.protocol.message.UpdateKind;
import io.tributary.protocol.tensor.ModelLayout;
import io.tributary.protocol.tensor.SafetensorsHeader;
import io.tributary.protocol.tensor.TensorInfo;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.function.DoubleSupplier;

/** Writes safetensors files for tests, and reads their values back as float64. */
public final class TestModels {

    private TestModels() {}

    public static SafetensorsHeader header(TensorInfo... tensors) {
        return SafetensorsHeader.create(List.of(tensors), Map.of());
    }

    /** Writes a file whose elements come from {@code values}, in file order. */
    public static Path write(Path file, SafetensorsHeader header, DoubleSupplier values) {
        ByteBuffer bytes =
                ByteBuffer.allocate((int) header.fileLength()).order(ByteOrder.LITTLE_ENDIAN);
        bytes.put(header.bytes());
        int at = (int) header.dataOffset();
        for (TensorInfo tensor : header.tensors()) {
            for (long i = 0; i < tensor.elements(); i++) {
                tensor.dtype().put(bytes, at, values.getAsDouble());
                at += tensor.dtype().bytes();
            }
        }
        try {
            return Files.write(file, bytes.array());
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    public static Path write(Path file, SafetensorsHeader header, long seed) {
        Random random = new Random(seed);
        return write(file, header, () -> random.nextGaussian() * 50);
    }

    /** All elements in file order. */
    public static double[] values(Path file) {
        try {
            SafetensorsHeader header = SafetensorsHeader.read(file);
            byte[] all = Files.readAllBytes(file);
            return values(header, Arrays.copyOfRange(all, (int) header.dataOffset(), all.length));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    public static double[] values(SafetensorsHeader header, byte[] data) {
        ByteBuffer bytes = ByteBuffer.wrap(data).order(ByteOrder.LITTLE_ENDIAN);
        double[] values =
                new double[(int) header.tensors().stream().mapToLong(TensorInfo::elements).sum()];
        int at = 0;
        int i = 0;
        for (TensorInfo tensor : header.tensors()) {
            for (long e = 0; e < tensor.elements(); e++) {
                values[i++] = tensor.dtype().get(bytes, at);
                at += tensor.dtype().bytes();
            }
        }
        return values;
    }

    /** What {@code value} becomes in each element's type. */
    public static double[] rounded(SafetensorsHeader header, double[] exact) {
        ByteBuffer one = ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN);
        double[] rounded = new double[exact.length];
        int i = 0;
        for (TensorInfo tensor : header.tensors()) {
            for (long e = 0; e < tensor.elements(); e++) {
                tensor.dtype().put(one, 0, exact[i]);
                rounded[i++] = tensor.dtype().get(one, 0);
            }
        }
        return rounded;
    }

    public static PayloadRef payload(Path file) {
        return new PayloadRef(file.toString(), 0, SafetensorsHeader.read(file).fileLength(), 0);
    }

    public static ModelSpec spec(Path model, int shardElements, UpdateKind kind) {
        return new ModelSpec(model.toString(), shardElements, kind);
    }

    public static ModelLayout layout(Path model, int shardElements) {
        return spec(model, shardElements, UpdateKind.WEIGHTS).layout();
    }
}
