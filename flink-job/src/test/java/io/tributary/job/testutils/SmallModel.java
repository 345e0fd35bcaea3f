// SPDX-License-Identifier: Apache-2.0

package io.tributary.job.testutils;

import io.tributary.memory.region.TensorFile;
import io.tributary.protocol.tensor.DType;
import io.tributary.protocol.tensor.SafetensorsHeader;
import io.tributary.protocol.tensor.TensorInfo;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Random;

/** A model with several element types, large enough for several chunks and shards. */
public final class SmallModel {

    public static final SafetensorsHeader HEADER =
            SafetensorsHeader.create(
                    List.of(
                            SafetensorsHeader.tensor("layer.weight", DType.F32, 500, 1000),
                            SafetensorsHeader.tensor("layer.bias", DType.F32, 1000),
                            SafetensorsHeader.tensor("half", DType.F16, 77),
                            SafetensorsHeader.tensor("steps", DType.I64, 3)),
                    Map.of("format", "pt"));

    private SmallModel() {}

    /** The file's bytes, drawn from a seed. */
    public static byte[] bytes(long seed) {
        Random random = new Random(seed);
        ByteBuffer bytes =
                ByteBuffer.allocate((int) HEADER.fileLength()).order(ByteOrder.LITTLE_ENDIAN);
        bytes.put(HEADER.bytes());
        int at = (int) HEADER.dataOffset();
        for (TensorInfo tensor : HEADER.tensors()) {
            for (long i = 0; i < tensor.elements(); i++) {
                tensor.dtype().put(bytes, at, random.nextGaussian() * 10);
                at += tensor.dtype().bytes();
            }
        }
        return bytes.array();
    }

    public static Path write(Path file, long seed) throws IOException {
        return Files.write(file, bytes(seed));
    }

    /** A tensor's values in float64. */
    public static double[] values(TensorFile file, String name) {
        TensorInfo tensor =
                file.header().tensors().stream()
                        .filter(t -> t.name().equals(name))
                        .findFirst()
                        .orElseThrow();
        ByteBuffer elements = file.elements(tensor, 0, (int) tensor.elements());
        double[] values = new double[(int) tensor.elements()];
        for (int i = 0; i < values.length; i++) {
            values[i] = tensor.dtype().get(elements, i * tensor.dtype().bytes());
        }
        return values;
    }

    /**
     * The largest error of a model file against Σ wᵢ·xᵢ / Σ wᵢ in float64, relative to the tensor's
     * largest magnitude, over all F32 tensors.
     */
    public static double error(Path model, Map<Path, Long> updates) {
        double worst = 0;
        double total = updates.values().stream().mapToLong(Long::longValue).sum();
        try (TensorFile result = TensorFile.open(model)) {
            for (TensorInfo tensor : result.header().tensors()) {
                if (tensor.dtype() != DType.F32) {
                    continue;
                }
                double[] mean = new double[(int) tensor.elements()];
                for (Map.Entry<Path, Long> update : updates.entrySet()) {
                    try (TensorFile file = TensorFile.open(update.getKey())) {
                        double[] values = values(file, tensor.name());
                        for (int i = 0; i < mean.length; i++) {
                            mean[i] += update.getValue() * values[i] / total;
                        }
                    }
                }
                double[] values = values(result, tensor.name());
                double largest = 0;
                double difference = 0;
                for (int i = 0; i < mean.length; i++) {
                    largest = Math.max(largest, Math.abs(mean[i]));
                    difference = Math.max(difference, Math.abs(mean[i] - values[i]));
                }
                worst = Math.max(worst, difference / largest);
            }
        }
        return worst;
    }
}
