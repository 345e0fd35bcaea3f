// SPDX-License-Identifier: Apache-2.0

package io.tributary.datapath.network;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class SnapshotTest {

    @TempDir private Path temp;

    private Path file;
    private IntegerNetwork network;
    private List<double[]> inputs;

    @BeforeEach
    void write() throws Exception {
        Random random = new Random(2);
        inputs = TestNetworks.inputs(random, 50, 7);
        network = Quantizer.quantize(TestNetworks.mlp(random, Activation.TANH, 7, 9, 5, 2), inputs);
        file = temp.resolve("snapshot.safetensors");
        Snapshot.write(file, network);
    }

    @Test
    void whatIsReadIsWhatWasWritten() throws Exception {
        IntegerNetwork read = Snapshot.read(file);
        assertThat(read.activation()).isEqualTo(Activation.TANH);
        assertThat(read.shape()).isEqualTo(Shape.NARROW);
        for (double[] x : inputs) {
            int[] its = IntegerNetwork.inputs(x);
            assertThat(read.infer(its)).containsExactly(network.infer(its));
        }
        try (var files = Files.list(temp)) {
            assertThat(files).as("nothing lies beside it").containsExactly(file);
        }
    }

    @Test
    void aModelOfFloatsIsNoSnapshot() throws Exception {
        Path model =
                TestNetworks.write(
                        temp.resolve("model.safetensors"),
                        TestNetworks.mlp(new Random(1), Activation.RELU, 3, 3, 3, 1),
                        "fc1",
                        "fc2",
                        "fc3");
        assertThatThrownBy(() -> Snapshot.read(model))
                .isInstanceOf(UnsupportedNetworkException.class)
                .hasMessage(
                        model
                                + " is no snapshot: its metadata name no activation; make one with 'datapath snapshot'");
    }

    @Test
    void layersThatDoNotFitTogetherAreRefused() {
        List<IntegerNetwork.Linear> layers = new java.util.ArrayList<>(network.layers());
        java.util.Collections.swap(layers, 0, 1);
        assertThatThrownBy(() -> new IntegerNetwork(layers, Activation.TANH))
                .isInstanceOf(UnsupportedNetworkException.class)
                .hasMessage("layer 2 takes 7 numbers, the layer before gives 5");
        assertThatThrownBy(
                        () ->
                                new IntegerNetwork.Linear(
                                        new int[][] {{1, 2}, {3}}, new int[2], 1, 1))
                .isInstanceOf(UnsupportedNetworkException.class)
                .hasMessageContaining("rows of one length");
        assertThatThrownBy(() -> new IntegerNetwork(layers.subList(0, 2), Activation.TANH))
                .hasMessage("the network has 2 layers, expected 3");
    }

    @Test
    void anOutputThatIsTooLargeIsTheLargest() {
        IntegerNetwork.Linear zero = new IntegerNetwork.Linear(new int[1][1], new int[1], 1, 1);
        IntegerNetwork.Linear last =
                new IntegerNetwork.Linear(new int[1][1], new int[] {-2_000_000_000}, 1L << 30, 1);
        IntegerNetwork its = new IntegerNetwork(List.of(zero, zero, last), Activation.RELU);
        assertThat(its.infer(new int[1])).containsExactly(-Integer.MAX_VALUE);
    }

    /** The kernel would shift by what a file says. */
    @Test
    void aScaleThatCannotBeIsRefused() throws Exception {
        ByteBuffer bytes = ByteBuffer.wrap(Files.readAllBytes(file)).order(ByteOrder.LITTLE_ENDIAN);
        long shift = network.layers().get(0).shift();
        long multiplier = network.layers().get(0).multiplier();
        int at = 0;
        while (bytes.getLong(at) != multiplier || bytes.getLong(at + 8) != shift) {
            at++;
        }
        bytes.putLong(at + 8, 63);
        Files.write(file, bytes.array());
        assertThatThrownBy(() -> Snapshot.read(file))
                .isInstanceOf(UnsupportedNetworkException.class)
                .hasMessageStartingWith("a layer is scaled by %d / 2^63".formatted(multiplier));
    }
}
