// SPDX-License-Identifier: Apache-2.0

package io.tributary.datapath.network;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * A network of integers, as the kernel computes it: this is the reference for its bits.
 *
 * <p>A layer's sum of weights times inputs becomes (sum·multiplier + 2^(shift − 1)) >> shift. After
 * a hidden layer, tanh takes that as a multiple of 1/256 and gives one of 1/16384; ReLU gives 0 to
 * 32767. Immutable, if nobody changes its arrays.
 *
 * @param layers three of them
 * @param activation what follows both hidden layers
 */
public record IntegerNetwork(List<Linear> layers, Activation activation) {

    /** Inputs are multiples of this, from −32767 to 32767 of them. */
    public static final double INPUT_SCALE = 1.0 / 4096;

    /** Outputs are multiples of this. */
    public static final double OUTPUT_SCALE = 1.0 / 65536;

    /** The largest number between two layers. */
    public static final int MOST = 32767;

    /** What tanh takes. */
    static final double TANH_INPUT_SCALE = 1.0 / 256;

    /** What tanh gives. */
    static final double TANH_OUTPUT_SCALE = 1.0 / 16384;

    private static final int LAYERS = 3;
    private static final int TANH_STEPS = 1024;
    private static final int MAX_SHIFT = 62;
    private static final short[] TANH = tanhTable();

    /**
     * A linear layer.
     *
     * @param weights [outputs][inputs], each −127 to 127
     * @param bias [outputs], of the sum
     * @param multiplier above 0 and below 2^31
     * @param shift 1 to 62
     */
    public record Linear(int[][] weights, int[] bias, long multiplier, int shift) {

        public Linear {
            int inputs = weights.length == 0 ? 0 : weights[0].length;
            boolean whole =
                    inputs > 0
                            && bias.length == weights.length
                            && Arrays.stream(weights).allMatch(row -> row.length == inputs);
            if (!whole) {
                throw new UnsupportedNetworkException(
                        "a layer has %d rows of weights and %d biases, expected as many, and rows of one length"
                                .formatted(weights.length, bias.length));
            }
            if (multiplier <= 0 || multiplier >>> 31 != 0 || shift < 1 || shift > MAX_SHIFT) {
                throw new UnsupportedNetworkException(
                        "a layer is scaled by %d / 2^%d, expected 1 to 2^31 - 1, and 1 to %d"
                                .formatted(multiplier, shift, MAX_SHIFT));
            }
            for (int j = 0; j < weights.length; j++) {
                long most = Math.abs((long) bias[j]);
                for (int weight : weights[j]) {
                    if (Math.abs(weight) > 127) {
                        throw new UnsupportedNetworkException(
                                "neuron %d has the weight %d, expected -127 to 127"
                                        .formatted(j, weight));
                    }
                    most += (MOST + 1L) * Math.abs(weight);
                }
                if (most > Integer.MAX_VALUE) {
                    throw new UnsupportedNetworkException(
                            "the sum of neuron %d may be %d, which leaves its lane of 32 bits; its bias of %d is too large beside its weights"
                                    .formatted(j, most, bias[j]));
                }
            }
        }

        private long scaled(int neuron, int[] x) {
            long sum = bias[neuron];
            for (int i = 0; i < x.length; i++) {
                sum += (long) weights[neuron][i] * x[i];
            }
            return sum * multiplier + (1L << shift - 1) >> shift;
        }
    }

    public IntegerNetwork {
        layers = List.copyOf(layers);
        if (layers.size() != LAYERS) {
            throw new UnsupportedNetworkException(
                    "the network has %d layers, expected %d".formatted(layers.size(), LAYERS));
        }
        for (int i = 1; i < LAYERS; i++) {
            int given = layers.get(i - 1).weights().length;
            int taken = layers.get(i).weights()[0].length;
            if (given != taken) {
                throw new UnsupportedNetworkException(
                        "layer %d takes %d numbers, the layer before gives %d"
                                .formatted(i + 1, taken, given));
            }
        }
    }

    private static short[] tanhTable() {
        short[] table = new short[TANH_STEPS];
        for (int i = 0; i < TANH_STEPS; i++) {
            table[i] =
                    (short) Math.round(StrictMath.tanh(i * TANH_INPUT_SCALE) / TANH_OUTPUT_SCALE);
        }
        return table;
    }

    /** tanh of 0 to 1023 times 1/256, in multiples of 1/16384. */
    public static short[] tanh() {
        return TANH.clone();
    }

    /** The compiled shape that holds it. */
    public Shape shape() {
        return Shape.of(sizes());
    }

    List<Integer> sizes() {
        List<Integer> sizes = new ArrayList<>(List.of(layers.get(0).weights()[0].length));
        layers.forEach(layer -> sizes.add(layer.weights().length));
        return sizes;
    }

    /** A number as an input, the nearest there is. */
    public static int input(double value) {
        return (int) Math.max(-MOST, Math.min(MOST, Math.rint(value / INPUT_SCALE)));
    }

    /** Numbers as inputs. */
    public static int[] inputs(double[] values) {
        int[] inputs = new int[values.length];
        for (int i = 0; i < inputs.length; i++) {
            inputs[i] = input(values[i]);
        }
        return inputs;
    }

    /**
     * The outputs for some inputs.
     *
     * @param inputs as many as the network has, each −32767 to 32767
     */
    public int[] infer(int[] inputs) {
        int[] x = inputs;
        for (int layer = 0; layer < layers.size(); layer++) {
            Linear linear = layers.get(layer);
            int[] y = new int[linear.weights().length];
            for (int j = 0; j < y.length; j++) {
                long t = linear.scaled(j, x);
                y[j] = layer == layers.size() - 1 ? output(t) : activated(t);
            }
            x = y;
        }
        return x;
    }

    private static int output(long t) {
        return (int) Math.max(-Integer.MAX_VALUE, Math.min(Integer.MAX_VALUE, t));
    }

    private int activated(long t) {
        if (activation == Activation.RELU) {
            return (int) Math.min(MOST, Math.max(0, t));
        }
        int size = TANH[(int) Math.min(TANH_STEPS - 1, Math.abs(t))];
        return t < 0 ? -size : size;
    }
}
