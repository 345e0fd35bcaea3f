// SPDX-License-Identifier: Apache-2.0

package io.tributary.datapath.network;

import io.tributary.memory.region.TensorFile;
import io.tributary.protocol.tensor.DType;
import io.tributary.protocol.tensor.SafetensorsHeader;
import io.tributary.protocol.tensor.TensorInfo;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.LongStream;

/**
 * A network of integers in a file: safetensors, with {@code layerK.weight} (I8, [outputs, inputs]),
 * {@code layerK.bias} (I32) and {@code layerK.scale} (I64: multiplier and shift) for K from 1 to 3,
 * and the activation in its metadata. Stateless.
 */
public final class Snapshot {

    private static final String ACTIVATION = "activation";
    private static final int LAYERS = 3;

    private Snapshot() {}

    /** Writes a network; the file is there as a whole or not at all. */
    public static void write(Path file, IntegerNetwork network) throws IOException {
        List<TensorInfo> tensors = new ArrayList<>();
        Map<String, LongStream> values = new HashMap<>();
        for (int k = 0; k < LAYERS; k++) {
            IntegerNetwork.Linear layer = network.layers().get(k);
            int rows = layer.weights().length;
            String name = name(k);
            tensors.add(
                    SafetensorsHeader.tensor(
                            name + ".weight", DType.I8, rows, layer.weights()[0].length));
            values.put(
                    name + ".weight",
                    Arrays.stream(layer.weights()).flatMapToInt(Arrays::stream).asLongStream());
            tensors.add(SafetensorsHeader.tensor(name + ".bias", DType.I32, rows));
            values.put(name + ".bias", Arrays.stream(layer.bias()).asLongStream());
            tensors.add(SafetensorsHeader.tensor(name + ".scale", DType.I64, 2));
            values.put(name + ".scale", LongStream.of(layer.multiplier(), layer.shift()));
        }
        SafetensorsHeader header =
                SafetensorsHeader.create(tensors, Map.of(ACTIVATION, text(network.activation())));
        ByteBuffer bytes =
                ByteBuffer.allocate(Math.toIntExact(header.fileLength()))
                        .order(ByteOrder.LITTLE_ENDIAN)
                        .put(header.bytes());
        for (TensorInfo tensor : header.tensors()) {
            int at = (int) (header.dataOffset() + tensor.begin());
            for (long value : values.get(tensor.name()).toArray()) {
                tensor.dtype().put(bytes, at, value);
                at += tensor.dtype().bytes();
            }
        }
        Path absolute = file.toAbsolutePath();
        Path beside = Files.createTempFile(absolute.getParent(), ".snapshot", "");
        try {
            Files.write(beside, bytes.array());
            Files.move(
                    beside,
                    absolute,
                    StandardCopyOption.ATOMIC_MOVE,
                    StandardCopyOption.REPLACE_EXISTING);
        } finally {
            Files.deleteIfExists(beside);
        }
    }

    private static String name(int layer) {
        return "layer" + (layer + 1);
    }

    private static String text(Activation activation) {
        return activation.name().toLowerCase(Locale.ROOT);
    }

    /**
     * Reads a network.
     *
     * @throws UnsupportedNetworkException when the file is none, or has numbers that cannot be
     */
    public static IntegerNetwork read(Path file) {
        try (TensorFile all = TensorFile.open(file)) {
            Activation activation =
                    Arrays.stream(Activation.values())
                            .filter(a -> text(a).equals(all.header().metadata().get(ACTIVATION)))
                            .findFirst()
                            .orElseThrow(() -> none(file, "its metadata name no activation"));
            List<IntegerNetwork.Linear> layers = new ArrayList<>();
            for (int k = 0; k < LAYERS; k++) {
                layers.add(layer(file, all, name(k)));
            }
            IntegerNetwork network = new IntegerNetwork(layers, activation);
            network.shape();
            return network;
        }
    }

    private static IntegerNetwork.Linear layer(Path file, TensorFile all, String name) {
        TensorInfo weight = require(file, all, name + ".weight", DType.I8, 2);
        TensorInfo bias = require(file, all, name + ".bias", DType.I32, 1);
        TensorInfo scale = require(file, all, name + ".scale", DType.I64, 1);
        int rows = Math.toIntExact(weight.shape().get(0));
        int columns = Math.toIntExact(weight.shape().get(1));
        if (bias.elements() != rows || scale.elements() != 2 || columns == 0 || rows == 0) {
            throw none(file, "the tensors of %s do not fit together".formatted(name));
        }
        int[] flat = Arrays.stream(values(all, weight)).mapToInt(Math::toIntExact).toArray();
        int[][] weights = new int[rows][];
        for (int j = 0; j < rows; j++) {
            weights[j] = Arrays.copyOfRange(flat, j * columns, (j + 1) * columns);
        }
        long[] scaled = values(all, scale);
        return new IntegerNetwork.Linear(
                weights,
                Arrays.stream(values(all, bias)).mapToInt(Math::toIntExact).toArray(),
                scaled[0],
                (int) Math.max(0, Math.min(Integer.MAX_VALUE, scaled[1])));
    }

    private static TensorInfo require(
            Path file, TensorFile all, String name, DType dtype, int dimensions) {
        return all.header()
                .find(name)
                .filter(t -> t.dtype() == dtype && t.shape().size() == dimensions)
                .orElseThrow(
                        () ->
                                none(
                                        file,
                                        "it has no tensor '%s' of %s with %d dimensions"
                                                .formatted(name, dtype, dimensions)));
    }

    private static long[] values(TensorFile all, TensorInfo tensor) {
        ByteBuffer bytes = all.elements(tensor, 0, Math.toIntExact(tensor.elements()));
        long[] values = new long[(int) tensor.elements()];
        for (int i = 0; i < values.length; i++) {
            values[i] = tensor.dtype().integer(bytes, i * tensor.dtype().bytes()).longValueExact();
        }
        return values;
    }

    private static UnsupportedNetworkException none(Path file, String why) {
        return new UnsupportedNetworkException(
                "%s is no snapshot: %s; make one with 'datapath snapshot'".formatted(file, why));
    }
}
