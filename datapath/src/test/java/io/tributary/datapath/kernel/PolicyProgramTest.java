// SPDX-License-Identifier: Apache-2.0

package io.tributary.datapath.kernel;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.tributary.datapath.network.Activation;
import io.tributary.datapath.network.IntegerNetwork;
import io.tributary.datapath.network.Mlp;
import io.tributary.datapath.network.Quantizer;
import io.tributary.datapath.network.Shape;
import io.tributary.datapath.network.TestNetworks;
import java.io.IOException;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

/** The kernel's bits are those of the reference. Needs root's rights. */
class PolicyProgramTest {

    @BeforeAll
    static void requireKernel() {
        if (System.getenv("TRIBUTARY_REQUIRE_BPF") == null) {
            KernelRequirements.missing(true).ifPresent(Assumptions::abort);
        }
    }

    @ParameterizedTest
    @CsvSource({
        "32, 32, 16, 2, RELU", "32, 32, 16, 2, TANH", "31, 29, 13, 1, TANH", "16, 32, 16, 2, RELU",
        "9, 17, 9, 2, TANH", "8, 16, 8, 2, TANH", "8, 16, 8, 1, RELU", "1, 1, 1, 1, TANH"
    })
    void theKernelsBitsAreThoseOfTheReference(
            int inputs, int first, int second, int outputs, Activation activation)
            throws IOException {
        Random random = new Random(inputs);
        Mlp mlp = TestNetworks.mlp(random, activation, inputs, first, second, outputs);
        List<double[]> all = TestNetworks.inputs(random, 500, inputs);
        IntegerNetwork network = Quantizer.quantize(mlp, all);
        try (PolicyProgram program = PolicyProgram.load(network.shape(), false)) {
            program.table().put(7, network, 1);
            for (double[] x : all) {
                program.table().requireSame(7, network, IntegerNetwork.inputs(x));
            }
        }
    }

    /** Weights and inputs at the ends of their ranges, where a lane is fullest. */
    @ParameterizedTest
    @EnumSource
    void noLaneRunsOver(Activation activation) throws IOException {
        Random random = new Random(9);
        try (PolicyProgram program = PolicyProgram.load(Shape.WIDE, false)) {
            for (int trial = 0; trial < 200; trial++) {
                IntegerNetwork network =
                        new IntegerNetwork(
                                List.of(
                                        extreme(random, 32, 32),
                                        extreme(random, 32, 16),
                                        extreme(random, 16, 2)),
                                activation);
                program.table().put(trial % 8, network, trial);
                int[] inputs =
                        random.ints(32, 0, 2).map(bit -> bit == 0 ? -32767 : 32767).toArray();
                program.table().requireSame(trial % 8, network, inputs);
            }
        }
    }

    private static IntegerNetwork.Linear extreme(Random random, int inputs, int outputs) {
        int[][] weights = new int[outputs][];
        Arrays.setAll(
                weights,
                j -> random.ints(inputs, 0, 2).map(bit -> bit == 0 ? -127 : 127).toArray());
        int room = Integer.MAX_VALUE - 32768 * 127 * inputs;
        int[] bias =
                IntStream.range(0, outputs).map(j -> random.nextBoolean() ? room : -room).toArray();
        return new IntegerNetwork.Linear(
                weights, bias, (1L << 31) - 1 - random.nextInt(1000), 30 + random.nextInt(32));
    }

    @Test
    void slotsDoNotTouchEachOther() throws IOException {
        Random random = new Random(4);
        List<double[]> all = TestNetworks.inputs(random, 20, 8);
        try (PolicyProgram program = PolicyProgram.load(Shape.NARROW, false)) {
            IntegerNetwork[] networks = new IntegerNetwork[8];
            for (int slot = 0; slot < 8; slot++) {
                networks[slot] =
                        Quantizer.quantize(
                                TestNetworks.mlp(random, Activation.RELU, 8, 16, 8, 2), all);
                program.table().put(slot, networks[slot], slot);
            }
            for (int slot = 0; slot < 8; slot++) {
                for (double[] x : all) {
                    program.table().requireSame(slot, networks[slot], IntegerNetwork.inputs(x));
                }
            }
            assertThatThrownBy(() -> program.table().put(8, networks[0], 9))
                    .isInstanceOf(IOException.class)
                    .hasMessageStartingWith("slot 8 cannot be written: ");
            assertThatThrownBy(() -> program.table().infer(8, new int[8]))
                    .isInstanceOf(IOException.class)
                    .hasMessage("the kernel has no slot 8");
        }
    }

    /** An output of 1 is 1/32 of the rate, and none is more than a quarter. */
    @ParameterizedTest
    @CsvSource({
        "0, 1",
        "1, 1.03125",
        "-1, 0.96875",
        "2.5, 1.078125",
        "8, 1.25",
        "-8, 0.75",
        "30000, 1.25",
        "-30000, 0.75"
    })
    void aRateChangesByWhatANetworkSaysAndByAQuarterAtMost(double output, double factor)
            throws IOException {
        Mlp.Linear zero = new Mlp.Linear(new double[1][1], new double[1]);
        Mlp.Linear last = new Mlp.Linear(new double[1][1], new double[] {output});
        IntegerNetwork network =
                Quantizer.quantize(
                        new Mlp(List.of(zero, zero, last), Activation.TANH),
                        List.of(new double[1]));
        try (PolicyProgram program = PolicyProgram.load(Shape.NARROW, false)) {
            program.table().put(0, network, 1);
            for (long rate : new long[] {5_000, 6_250_000, 1_250_000_000_000L}) {
                assertThat((double) program.table().step(0, new int[1], rate))
                        .isCloseTo(rate * factor, within(rate * 1e-3 + 1024));
            }
        }
    }

    @Test
    void anOutputThatDiffersIsSaid() throws IOException {
        Random random = new Random(4);
        List<double[]> all = TestNetworks.inputs(random, 2, 8);
        IntegerNetwork one =
                Quantizer.quantize(TestNetworks.mlp(random, Activation.RELU, 8, 16, 8, 2), all);
        IntegerNetwork other =
                Quantizer.quantize(TestNetworks.mlp(random, Activation.RELU, 8, 16, 8, 2), all);
        try (PolicyProgram program = PolicyProgram.load(Shape.NARROW, false)) {
            program.table().put(0, one, 1);
            int[] x = IntegerNetwork.inputs(all.get(0));
            assertThatThrownBy(() -> program.table().requireSame(0, other, x))
                    .isInstanceOf(IllegalStateException.class)
                    .hasMessageContaining("the kernel computes " + Arrays.toString(one.infer(x)));
        }
    }

    /** The verifier's work is bounded, so that the kernel takes it beside a congestion control. */
    @ParameterizedTest
    @EnumSource
    void theVerifierHasLittleToDo(Shape shape) throws IOException {
        try (PolicyProgram program = PolicyProgram.load(shape, true)) {
            assertThat(program.verifiedInstructions("probe")).isBetween(1000, 20_000);
            assertThat(program.verifiedInstructions("cong_control")).isBetween(1000, 20_000);
        }
    }
}
