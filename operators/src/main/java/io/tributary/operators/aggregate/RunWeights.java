// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.aggregate;

import java.io.IOException;
import java.util.Arrays;
import org.apache.flink.core.memory.DataInputView;
import org.apache.flink.core.memory.DataOutputView;

/**
 * What is in a sum, for each run of a shard: Σ weights, of integers Σ samples, and the number of
 * updates. They differ from run to run, because updates may leave tensors out. Mutable; not
 * thread-safe.
 */
public final class RunWeights {

    private final double[] weights;
    private final int[] updates;

    /** Nothing yet. */
    RunWeights(int runs) {
        this(new double[runs], new int[runs]);
    }

    private RunWeights(double[] weights, int[] updates) {
        this.weights = weights;
        this.updates = updates;
    }

    /** The same weight and number for each run. */
    public static RunWeights same(int runs, double weight, int updates) {
        RunWeights same = new RunWeights(runs);
        Arrays.fill(same.weights, weight);
        Arrays.fill(same.updates, updates);
        return same;
    }

    /** Number of runs. */
    int runs() {
        return weights.length;
    }

    /** Σ weights; 0 where no update has the run. */
    double weight(int run) {
        return weights[run];
    }

    /** Updates that have the run. */
    int updates(int run) {
        return updates[run];
    }

    /** So many updates, with this weight together, have the run. */
    void add(int run, double weight, int count) {
        weights[run] += weight;
        updates[run] += count;
    }

    /** Another sum of the same shard is added. */
    void add(RunWeights others) {
        for (int run = 0; run < weights.length; run++) {
            weights[run] += others.weights[run];
            updates[run] += others.updates[run];
        }
    }

    void write(DataOutputView out) throws IOException {
        out.writeInt(weights.length);
        for (int run = 0; run < weights.length; run++) {
            out.writeDouble(weights[run]);
            out.writeInt(updates[run]);
        }
    }

    /** Reads what {@link #write} wrote. */
    static RunWeights read(DataInputView in) throws IOException {
        RunWeights read = new RunWeights(in.readInt());
        for (int run = 0; run < read.runs(); run++) {
            read.weights[run] = in.readDouble();
            read.updates[run] = in.readInt();
        }
        return read;
    }

    @Override
    public boolean equals(Object other) {
        return other instanceof RunWeights that
                && Arrays.equals(weights, that.weights)
                && Arrays.equals(updates, that.updates);
    }

    @Override
    public int hashCode() {
        return Arrays.hashCode(weights);
    }

    @Override
    public String toString() {
        return "%s of %s updates".formatted(Arrays.toString(weights), Arrays.toString(updates));
    }
}
