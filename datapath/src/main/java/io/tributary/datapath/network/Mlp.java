// SPDX-License-Identifier: Apache-2.0

package io.tributary.datapath.network;

import io.tributary.memory.region.TensorFile;
import io.tributary.protocol.tensor.TensorInfo;
import io.tributary.protocol.tensor.TensorSets;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * A network of two hidden layers and an output layer, in float64: the model as it was trained.
 * Immutable, if nobody changes its arrays.
 *
 * @param layers three of them, in the order in which they are computed
 * @param activation what follows both hidden layers
 */
public record Mlp(List<Linear> layers, Activation activation) {

    private static final int LAYERS = 3;
    private static final Pattern NUMBER = Pattern.compile("\\d+");

    /**
     * A linear layer, as PyTorch has it: y = W·x + b.
     *
     * @param weights [outputs][inputs]
     * @param bias [outputs]
     */
    public record Linear(double[][] weights, double[] bias) {

        int inputs() {
            return weights[0].length;
        }

        int outputs() {
            return weights.length;
        }

        double[] apply(double[] x) {
            double[] y = bias.clone();
            for (int j = 0; j < y.length; j++) {
                for (int i = 0; i < x.length; i++) {
                    y[j] += weights[j][i] * x[i];
                }
            }
            return y;
        }
    }

    public Mlp {
        if (layers.size() != LAYERS) {
            throw new UnsupportedNetworkException(
                    "the network has %d linear layers, expected %d: two hidden ones and the outputs"
                            .formatted(layers.size(), LAYERS));
        }
        layers = List.copyOf(layers);
        for (int i = 1; i < LAYERS; i++) {
            if (layers.get(i).inputs() != layers.get(i - 1).outputs()) {
                throw new UnsupportedNetworkException(
                        "linear layer %d takes %d numbers, the layer before gives %d"
                                .formatted(
                                        i + 1,
                                        layers.get(i).inputs(),
                                        layers.get(i - 1).outputs()));
            }
        }
    }

    /**
     * Reads a model: {@code NAME.weight} and, unless it is zero, {@code NAME.bias} for each layer.
     * The numbers in names say the order, as in {@code fc1}, {@code fc2}, {@code fc3}.
     *
     * @param file in safetensors
     * @throws UnsupportedNetworkException when it has something else
     */
    public static Mlp read(Path file, Activation activation) {
        try (TensorFile model = TensorFile.open(file)) {
            Map<String, TensorInfo> weights = new TreeMap<>(Comparator.comparing(Mlp::ordered));
            Map<String, TensorInfo> biases = new TreeMap<>();
            for (TensorInfo tensor : TensorSets.model(model.header())) {
                boolean weight = tensor.name().endsWith(".weight") && tensor.shape().size() == 2;
                boolean bias = tensor.name().endsWith(".bias") && tensor.shape().size() == 1;
                if (!weight && !bias || !tensor.dtype().floating() || tensor.elements() == 0) {
                    throw new UnsupportedNetworkException(
                            "%s: tensor '%s' is %s%s; the kernel computes linear layers alone, of NAME.weight [outputs, inputs] and NAME.bias [outputs]"
                                    .formatted(
                                            file, tensor.name(), tensor.dtype(), tensor.shape()));
                }
                String name = tensor.name().substring(0, tensor.name().lastIndexOf('.'));
                if ((weight ? weights : biases).put(name, tensor) != null) {
                    throw new UnsupportedNetworkException(
                            "%s: two tensors have the place of '%s'; give layers other names"
                                    .formatted(file, tensor.name()));
                }
            }
            List<Linear> layers = new ArrayList<>();
            for (Map.Entry<String, TensorInfo> layer : weights.entrySet()) {
                layers.add(linear(file, model, layer.getValue(), biases.remove(layer.getKey())));
            }
            if (!biases.isEmpty()) {
                throw new UnsupportedNetworkException(
                        "%s: tensor '%s' belongs to no %s.weight"
                                .formatted(
                                        file,
                                        biases.values().iterator().next().name(),
                                        biases.keySet().iterator().next()));
            }
            return new Mlp(layers, activation);
        }
    }

    private static Linear linear(Path file, TensorFile model, TensorInfo weight, TensorInfo bias) {
        int outputs = Math.toIntExact(weight.shape().get(0));
        int inputs = Math.toIntExact(weight.shape().get(1));
        if (bias != null && bias.elements() != outputs) {
            throw new UnsupportedNetworkException(
                    "%s: tensor '%s' has %d elements, '%s' has %d rows"
                            .formatted(file, bias.name(), bias.elements(), weight.name(), outputs));
        }
        double[] all = values(file, model, weight);
        double[][] rows = new double[outputs][];
        for (int j = 0; j < outputs; j++) {
            rows[j] = java.util.Arrays.copyOfRange(all, j * inputs, (j + 1) * inputs);
        }
        return new Linear(rows, bias == null ? new double[outputs] : values(file, model, bias));
    }

    private static double[] values(Path file, TensorFile model, TensorInfo tensor) {
        ByteBuffer bytes = model.elements(tensor, 0, Math.toIntExact(tensor.elements()));
        double[] values = new double[(int) tensor.elements()];
        for (int i = 0; i < values.length; i++) {
            values[i] = tensor.dtype().get(bytes, i * tensor.dtype().bytes());
            if (!Double.isFinite(values[i])) {
                throw new UnsupportedNetworkException(
                        "%s: tensor '%s' is %s at %d, expected finite numbers"
                                .formatted(file, tensor.name(), values[i], i));
            }
        }
        return values;
    }

    /** A name by which 10 comes after 9. */
    private static String ordered(String name) {
        Matcher numbers = NUMBER.matcher(name);
        return numbers.replaceAll(
                found -> "0".repeat(Math.max(0, 9 - found.group().length())) + found.group());
    }

    /** Inputs, both hidden layers, outputs. */
    public List<Integer> sizes() {
        List<Integer> sizes = new ArrayList<>(List.of(layers.get(0).inputs()));
        layers.forEach(layer -> sizes.add(layer.outputs()));
        return sizes;
    }

    /** The outputs for some inputs. */
    public double[] infer(double[] inputs) {
        List<double[]> all = activations(inputs);
        return all.get(LAYERS - 1);
    }

    /** What each layer gives, the hidden ones after their activation. */
    List<double[]> activations(double[] inputs) {
        List<double[]> all = new ArrayList<>();
        double[] x = inputs;
        for (int i = 0; i < LAYERS; i++) {
            x = layers.get(i).apply(x);
            for (int j = 0; j < x.length && i < LAYERS - 1; j++) {
                x[j] = activation.of(x[j]);
            }
            all.add(x);
        }
        return all;
    }

    @Override
    public String toString() {
        return "%s, %s"
                .formatted(
                        Shape.text(sizes()), activation.name().toLowerCase(java.util.Locale.ROOT));
    }
}
