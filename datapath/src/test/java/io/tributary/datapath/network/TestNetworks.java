// SPDX-License-Identifier: Apache-2.0

package io.tributary.datapath.network;

import io.tributary.protocol.tensor.DType;
import io.tributary.protocol.tensor.SafetensorsHeader;
import io.tributary.protocol.tensor.TensorInfo;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.Stream;

/** Networks, inputs and files for tests. */
public final class TestNetworks {

    private TestNetworks() {}

    /** One with weights as they are before training. */
    public static Mlp mlp(Random random, Activation activation, int... sizes) {
        List<Mlp.Linear> layers = new ArrayList<>();
        for (int i = 1; i < sizes.length; i++) {
            double deviation = Math.sqrt(1.0 / sizes[i - 1]);
            double[][] weights = new double[sizes[i]][sizes[i - 1]];
            double[] bias = new double[sizes[i]];
            for (int j = 0; j < weights.length; j++) {
                Arrays.setAll(weights[j], k -> random.nextGaussian() * deviation);
                bias[j] = random.nextGaussian() * 0.1;
            }
            layers.add(new Mlp.Linear(weights, bias));
        }
        return new Mlp(layers, activation);
    }

    /** Inputs of about 1. */
    public static List<double[]> inputs(Random random, int count, int size) {
        return Stream.generate(() -> random.doubles(size, -2, 2).toArray()).limit(count).toList();
    }

    /** Writes tensors of floats. */
    public static Path write(Path file, Map<String, double[]> values, TensorInfo... tensors)
            throws IOException {
        SafetensorsHeader header = SafetensorsHeader.create(List.of(tensors), Map.of());
        ByteBuffer bytes =
                ByteBuffer.allocate((int) header.fileLength())
                        .order(ByteOrder.LITTLE_ENDIAN)
                        .put(header.bytes());
        for (TensorInfo tensor : header.tensors()) {
            int at = (int) (header.dataOffset() + tensor.begin());
            for (double value : values.get(tensor.name())) {
                tensor.dtype().put(bytes, at, value);
                at += tensor.dtype().bytes();
            }
        }
        return Files.write(file, bytes.array());
    }

    /** Writes a network as PyTorch does, with layers of these names. */
    public static Path write(Path file, Mlp network, String... names) throws IOException {
        List<TensorInfo> tensors = new ArrayList<>();
        Map<String, double[]> values = new java.util.HashMap<>();
        for (int i = 0; i < names.length; i++) {
            Mlp.Linear layer = network.layers().get(i);
            tensors.add(
                    SafetensorsHeader.tensor(
                            names[i] + ".weight", DType.F64, layer.outputs(), layer.inputs()));
            tensors.add(SafetensorsHeader.tensor(names[i] + ".bias", DType.F64, layer.outputs()));
            values.put(
                    names[i] + ".weight",
                    Arrays.stream(layer.weights()).flatMapToDouble(Arrays::stream).toArray());
            values.put(names[i] + ".bias", layer.bias());
        }
        return write(file, values, tensors.toArray(TensorInfo[]::new));
    }
}
