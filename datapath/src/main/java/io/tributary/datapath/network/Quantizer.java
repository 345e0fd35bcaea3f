// SPDX-License-Identifier: Apache-2.0

package io.tributary.datapath.network;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * Makes integers of a trained network: int8 weights with a scale for each layer (post-training
 * quantization, symmetric). Stateless.
 */
public final class Quantizer {

    private static final int MOST_WEIGHT = 127;
    private static final int MULTIPLIER_BITS = 31;

    private Quantizer() {}

    /**
     * Quantizes a network.
     *
     * @param inputs on which it will run, as they came lately; at least one. After ReLU, the
     *     largest number that comes on these is the largest that there is.
     * @throws UnsupportedNetworkException when the network does not fit
     */
    public static IntegerNetwork quantize(Mlp network, List<double[]> inputs) {
        Shape.of(network.sizes());
        List<IntegerNetwork.Linear> layers = new ArrayList<>();
        double scale = IntegerNetwork.INPUT_SCALE;
        for (int i = 0; i < network.layers().size(); i++) {
            boolean last = i == network.layers().size() - 1;
            boolean tanh = network.activation() == Activation.TANH;
            double after =
                    last
                            ? IntegerNetwork.OUTPUT_SCALE
                            : tanh
                                    ? IntegerNetwork.TANH_OUTPUT_SCALE
                                    : largest(network, i, inputs) / IntegerNetwork.MOST;
            double to = tanh && !last ? IntegerNetwork.TANH_INPUT_SCALE : after;
            layers.add(layer(network.layers().get(i), scale, to, i + 1));
            scale = after;
        }
        return new IntegerNetwork(layers, network.activation());
    }

    /** The largest number that a layer gives; 1 where all are zero. */
    private static double largest(Mlp network, int layer, List<double[]> inputs) {
        double largest =
                inputs.stream()
                        .mapToDouble(
                                x ->
                                        Arrays.stream(network.activations(x).get(layer))
                                                .max()
                                                .orElse(0))
                        .max()
                        .orElseThrow();
        return largest > 0 ? largest : 1;
    }

    /**
     * A layer.
     *
     * @param from the unit of its inputs
     * @param to the unit in which its scaled sums are
     */
    private static IntegerNetwork.Linear layer(
            Mlp.Linear layer, double from, double to, int number) {
        double largest =
                Arrays.stream(layer.weights())
                        .flatMapToDouble(Arrays::stream)
                        .map(Math::abs)
                        .max()
                        .orElse(0);
        double unit = largest > 0 ? largest / MOST_WEIGHT : 1;
        int[][] weights =
                Arrays.stream(layer.weights())
                        .map(
                                row ->
                                        Arrays.stream(row)
                                                .mapToInt(w -> (int) Math.rint(w / unit))
                                                .toArray())
                        .toArray(int[][]::new);
        int[] bias = new int[layer.bias().length];
        for (int j = 0; j < bias.length; j++) {
            double sum = Math.rint(layer.bias()[j] / (unit * from));
            if (Math.abs(sum) > Integer.MAX_VALUE) {
                throw new UnsupportedNetworkException(
                        "layer %d: the bias %s of neuron %d is too large beside weights of at most %s"
                                .formatted(number, layer.bias()[j], j, largest));
            }
            bias[j] = (int) sum;
        }
        double multiplier = unit * from / to;
        int shift = MULTIPLIER_BITS - 1 - Math.getExponent(multiplier);
        // Rounding up may reach the next power of two.
        if (Math.rint(Math.scalb(multiplier, shift)) >= 1L << MULTIPLIER_BITS) {
            shift--;
        }
        return new IntegerNetwork.Linear(
                weights, bias, (long) Math.rint(Math.scalb(multiplier, shift)), shift);
    }
}
