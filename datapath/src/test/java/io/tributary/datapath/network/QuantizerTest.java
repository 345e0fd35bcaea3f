// SPDX-License-Identifier: Apache-2.0

package io.tributary.datapath.network;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.List;
import java.util.Random;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class QuantizerTest {

    /**
     * Each output differs from that of the floats by what the roundings on the way to it can add up
     * to, and not by more.
     */
    @Property(tries = 300)
    void theErrorIsThatOfTheRoundings(
            @ForAll long seed,
            @ForAll Activation activation,
            @ForAll @IntRange(min = 1, max = 32) int inputs,
            @ForAll @IntRange(min = 1, max = 32) int first,
            @ForAll @IntRange(min = 1, max = 16) int second,
            @ForAll @IntRange(min = 1, max = 2) int outputs) {
        Random random = new Random(seed);
        Mlp network = TestNetworks.mlp(random, activation, inputs, first, second, outputs);
        List<double[]> all = TestNetworks.inputs(random, 20, inputs);
        IntegerNetwork integers = Quantizer.quantize(network, all);
        for (double[] x : all) {
            double[] expected = network.infer(x);
            int[] found = integers.infer(IntegerNetwork.inputs(x));
            double[] bound = bound(network, all, x);
            for (int j = 0; j < outputs; j++) {
                assertThat(Math.abs(expected[j] - found[j] * IntegerNetwork.OUTPUT_SCALE))
                        .isLessThanOrEqualTo(bound[j]);
            }
        }
    }

    /** How far each output can be, by the roundings of inputs, weights, biases and layers. */
    private static double[] bound(Mlp network, List<double[]> all, double[] x) {
        double unit = IntegerNetwork.INPUT_SCALE;
        double[] values = x;
        double[] errors = new double[x.length];
        java.util.Arrays.fill(errors, unit / 2);
        for (int i = 0; i < 3; i++) {
            Mlp.Linear layer = network.layers().get(i);
            double largest =
                    java.util.Arrays.stream(layer.weights())
                            .flatMapToDouble(java.util.Arrays::stream)
                            .map(Math::abs)
                            .max()
                            .orElseThrow();
            double weightUnit = largest / 127;
            double[] next = new double[layer.outputs()];
            for (int j = 0; j < next.length; j++) {
                double error = weightUnit * unit / 2;
                for (int k = 0; k < values.length; k++) {
                    error +=
                            Math.abs(layer.weights()[j][k]) * errors[k]
                                    + weightUnit / 2 * (Math.abs(values[k]) + errors[k]);
                }
                next[j] = error;
            }
            values = network.activations(x).get(i);
            boolean tanh = network.activation() == Activation.TANH;
            int layerIndex = i;
            double after =
                    i == 2
                            ? IntegerNetwork.OUTPUT_SCALE
                            : tanh
                                    ? IntegerNetwork.TANH_OUTPUT_SCALE
                                    : Math.max(
                                                    1e-9,
                                                    all.stream()
                                                            .flatMapToDouble(
                                                                    a ->
                                                                            java.util.Arrays.stream(
                                                                                    network.activations(
                                                                                                    a)
                                                                                            .get(
                                                                                                    layerIndex)))
                                                            .max()
                                                            .orElseThrow())
                                            / IntegerNetwork.MOST;
            for (int j = 0; j < next.length; j++) {
                // tanh's argument is rounded, and ends at 1023 / 256; ReLU ends at its largest.
                double activation = i < 2 && tanh ? 0.5 / 256 + 1 - Math.tanh(1023.0 / 256) : 0;
                next[j] = next[j] * (1 + 1e-6) + activation + after;
            }
            errors = next;
            unit = after;
        }
        return errors;
    }

    @ParameterizedTest
    @EnumSource
    void aNetworkOfTheLargestShapeIsNearlyThatOfTheFloats(Activation activation) {
        Random random = new Random(5);
        Mlp network = TestNetworks.mlp(random, activation, 32, 32, 16, 2);
        List<double[]> inputs = TestNetworks.inputs(random, 2000, 32);
        Fidelity fidelity = Fidelity.of(network, Quantizer.quantize(network, inputs), inputs);
        assertThat(fidelity.inputs()).isEqualTo(2000);
        assertThat(fidelity.meanOutput()).isGreaterThan(0.1);
        assertThat(fidelity.meanError()).isLessThan(0.03 * fidelity.meanOutput());
        assertThat(fidelity.maxError()).isLessThan(0.2 * fidelity.meanOutput());
    }

    @Test
    void aNetworkThatIsTooLargeIsRefused() {
        Mlp network = TestNetworks.mlp(new Random(1), Activation.RELU, 40, 32, 16, 2);
        assertThatThrownBy(() -> Quantizer.quantize(network, List.of(new double[40])))
                .isInstanceOf(UnsupportedNetworkException.class)
                .hasMessage(
                        "the network is 40→32→16→2, the largest that the kernel computes is 32→32→16→2; make its layers smaller");
    }

    @Test
    void aBiasThatLeavesTheLaneIsRefused() {
        double[][] tiny = {{1e-3}};
        Mlp network =
                new Mlp(
                        List.of(
                                new Mlp.Linear(tiny, new double[] {4.125}),
                                new Mlp.Linear(tiny, new double[] {0}),
                                new Mlp.Linear(tiny, new double[] {0})),
                        Activation.TANH);
        assertThatThrownBy(() -> Quantizer.quantize(network, List.of(new double[1])))
                .isInstanceOf(UnsupportedNetworkException.class)
                .hasMessageContaining("leaves its lane of 32 bits");
        double[][] smaller = {{1e-6}};
        Mlp more =
                new Mlp(
                        List.of(
                                new Mlp.Linear(smaller, new double[] {8}),
                                new Mlp.Linear(tiny, new double[] {0}),
                                new Mlp.Linear(tiny, new double[] {0})),
                        Activation.TANH);
        assertThatThrownBy(() -> Quantizer.quantize(more, List.of(new double[1])))
                .isInstanceOf(UnsupportedNetworkException.class)
                .hasMessage(
                        "layer 1: the bias 8.0 of neuron 0 is too large beside weights of at most 1.0E-6");
    }

    @Test
    void aNetworkOfZerosGivesZeros() {
        double[][] zero = {{0}};
        Mlp.Linear layer = new Mlp.Linear(zero, new double[1]);
        Mlp network = new Mlp(List.of(layer, layer, layer), Activation.RELU);
        IntegerNetwork integers = Quantizer.quantize(network, List.of(new double[1]));
        assertThat(integers.infer(new int[] {1000})).containsExactly(0);
    }

    @Test
    void inputsBeyondTheRangeAreItsEnds() {
        assertThat(IntegerNetwork.inputs(new double[] {1, -0.5, 100, -100, 1.0 / 4096 / 3}))
                .containsExactly(4096, -2048, 32767, -32767, 0);
    }
}
