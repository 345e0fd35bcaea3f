// SPDX-License-Identifier: Apache-2.0

package io.tributary.datapath.kernel;

import io.tributary.datapath.network.IntegerNetwork;
import java.io.IOException;
import java.util.List;

/**
 * What a comparison of the kernel's outputs with the reference's has shown: that they are the same.
 *
 * @param inputs on how many
 * @param nanos how long the kernel takes for one
 */
public record KernelCheck(int inputs, int nanos) {

    private static final int REPEAT = 10_000;

    /**
     * Runs a network in the kernel of this machine, on some inputs, at least one.
     *
     * @throws IOException when the kernel cannot run it, with its reason
     * @throws IllegalStateException when an output differs
     */
    public static KernelCheck of(IntegerNetwork network, List<double[]> inputs) throws IOException {
        try (PolicyProgram program = PolicyProgram.load(network.shape(), false)) {
            program.table().put(0, network, 0);
            for (double[] values : inputs) {
                program.table().requireSame(0, network, IntegerNetwork.inputs(values));
            }
            int[] x = IntegerNetwork.inputs(inputs.get(0));
            return new KernelCheck(inputs.size(), program.nanos(0, x, REPEAT));
        }
    }
}
