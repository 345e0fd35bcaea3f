// SPDX-License-Identifier: Apache-2.0

package io.tributary.datapath.network;

import java.util.List;

/**
 * How near a network of integers is to that of floats.
 *
 * @param inputs on how many
 * @param meanOutput the mean of |y| over all outputs of the floats
 * @param meanError the mean of |y − y'|
 * @param maxError the largest |y − y'|
 */
public record Fidelity(int inputs, double meanOutput, double meanError, double maxError) {

    /** Of both networks on some inputs, at least one. */
    public static Fidelity of(Mlp network, IntegerNetwork integers, List<double[]> inputs) {
        double sum = 0;
        double errors = 0;
        double most = 0;
        int count = 0;
        for (double[] x : inputs) {
            double[] expected = network.infer(x);
            int[] found = integers.infer(IntegerNetwork.inputs(x));
            for (int j = 0; j < expected.length; j++) {
                double error = Math.abs(expected[j] - found[j] * IntegerNetwork.OUTPUT_SCALE);
                sum += Math.abs(expected[j]);
                errors += error;
                most = Math.max(most, error);
                count++;
            }
        }
        return new Fidelity(inputs.size(), sum / count, errors / count, most);
    }
}
