// SPDX-License-Identifier: Apache-2.0

package io.tributary.datapath.network;

import static io.tributary.protocol.tensor.SafetensorsHeader.tensor;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.tributary.protocol.tensor.DType;
import io.tributary.protocol.tensor.TensorInfo;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class MlpTest {

    @TempDir private Path temp;

    @ParameterizedTest
    @CsvSource({"fc1, fc2, fc3", "0, 2, 4", "net.8, net.9, net.10", "a, b, c"})
    void layersAreInTheOrderOfTheirNames(String first, String second, String third)
            throws Exception {
        Mlp network = TestNetworks.mlp(new Random(3), Activation.TANH, 5, 4, 3, 2);
        Path file =
                TestNetworks.write(
                        temp.resolve("model.safetensors"), network, first, second, third);
        Mlp read = Mlp.read(file, Activation.TANH);
        assertThat(read.sizes()).containsExactly(5, 4, 3, 2);
        assertThat(read).hasToString("5→4→3→2, tanh");
        double[] x = {1, 2, -1, 0.5, -3};
        assertThat(read.infer(x)).containsExactly(network.infer(x));
    }

    @Test
    void aLayerIsThatOfPyTorch() {
        Mlp.Linear layer = new Mlp.Linear(new double[][] {{1, 2}, {3, -4}}, new double[] {0.5, -1});
        assertThat(layer.apply(new double[] {2, 1})).containsExactly(4.5, 1);
        Mlp.Linear sum = new Mlp.Linear(new double[][] {{1, 1}}, new double[] {0});
        Mlp.Linear same = new Mlp.Linear(new double[][] {{1}}, new double[] {0});
        Mlp tanh = new Mlp(java.util.List.of(layer, sum, same), Activation.TANH);
        assertThat(tanh.infer(new double[] {2, 1})[0])
                .isCloseTo(Math.tanh(Math.tanh(4.5) + Math.tanh(1)), within(1e-12));
        Mlp relu = new Mlp(java.util.List.of(layer, sum, same), Activation.RELU);
        assertThat(relu.infer(new double[] {0, 1})).containsExactly(2.5);
    }

    private void refused(String message, TensorInfo... tensors) throws Exception {
        Map<String, double[]> values = new TreeMap<>();
        for (TensorInfo tensor : tensors) {
            values.put(tensor.name(), new double[(int) tensor.elements()]);
            Arrays.fill(values.get(tensor.name()), 1);
        }
        Path file = TestNetworks.write(temp.resolve("bad.safetensors"), values, tensors);
        assertThatThrownBy(() -> Mlp.read(file, Activation.RELU))
                .isInstanceOf(UnsupportedNetworkException.class)
                .hasMessage(message.replace("FILE", file.toString()));
    }

    @Test
    void whatIsNoLinearLayerIsRefused() throws Exception {
        String linear =
                "; the kernel computes linear layers alone, of NAME.weight [outputs, inputs] and NAME.bias [outputs]";
        refused(
                "FILE: tensor 'conv.weight' is F32[4, 3, 3, 3]" + linear,
                tensor("conv.weight", DType.F32, 4, 3, 3, 3));
        refused(
                "FILE: tensor 'norm.running_mean' is F32[4]" + linear,
                tensor("norm.running_mean", DType.F32, 4));
        refused(
                "FILE: tensor 'fc1.weight' is I32[2, 2]" + linear,
                tensor("fc1.weight", DType.I32, 2, 2));
        refused(
                "FILE: tensor 'fc1.weight' is F32[2, 0]" + linear,
                tensor("fc1.weight", DType.F32, 2, 0));
    }

    @Test
    void layersThatDoNotFitTogetherAreRefused() throws Exception {
        TensorInfo first = tensor("fc1.weight", DType.F32, 3, 2);
        TensorInfo second = tensor("fc2.weight", DType.F32, 2, 3);
        refused(
                "the network has 2 linear layers, expected 3: two hidden ones and the outputs",
                first,
                second);
        refused(
                "linear layer 3 takes 5 numbers, the layer before gives 2",
                first,
                second,
                tensor("fc3.weight", DType.F32, 1, 5));
        refused(
                "FILE: tensor 'fc1.bias' has 4 elements, 'fc1.weight' has 3 rows",
                first,
                tensor("fc1.bias", DType.F32, 4));
        refused(
                "FILE: tensor 'other.bias' belongs to no other.weight",
                first,
                second,
                tensor("fc3.weight", DType.F32, 1, 2),
                tensor("other.bias", DType.F32, 4));
    }

    @Test
    void aNumberThatIsNotFiniteIsRefused() throws Exception {
        Path file =
                TestNetworks.write(
                        temp.resolve("nan.safetensors"),
                        Map.of("fc1.weight", new double[] {1, Double.NaN}),
                        tensor("fc1.weight", DType.F32, 1, 2));
        assertThatThrownBy(() -> Mlp.read(file, Activation.RELU))
                .isInstanceOf(UnsupportedNetworkException.class)
                .hasMessage(file + ": tensor 'fc1.weight' is NaN at 1, expected finite numbers");
    }
}
