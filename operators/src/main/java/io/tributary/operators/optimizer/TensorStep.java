// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.optimizer;

import io.tributary.memory.kernel.AdaptiveStep;

/**
 * What a server optimizer works on: a run of elements of one floating tensor, in one round. Arrays
 * have an entry for each element of the run. Not thread-safe, and of no use after the step.
 */
public interface TensorStep {

    /** The tensor's name, with that of its set and a slash before it where it is in one. */
    String tensor();

    /** The set that the tensor is in: one of {@link ServerOptimizer#sets}; empty for the model. */
    String set();

    /** Updates that are in the aggregate, ≥ 1. */
    int counted();

    /** Trainers that take part in the job, ≥ {@link #counted}. */
    int trainers();

    /**
     * Steps that were made before this one; those of rejected rounds are not among them. 0 for an
     * optimizer that does not {@link ServerOptimizer#remembers remember}.
     */
    int steps();

    /** The elements that trainers started from; may be changed. */
    double[] model();

    /**
     * The aggregate of what changed, with a weighted mean Σ nₖ·(wₖ − w) / Σ nₖ, whether trainers
     * send weights or deltas; may be changed.
     */
    double[] change();

    /** Σ weights of the updates in the aggregate, &gt; 0; the aggregate has been divided by it. */
    double weight();

    /**
     * A sum over all updates of the round.
     *
     * @param name one of {@code AggregationRule.Streaming.totals}
     */
    double total(String name);

    /** A slot's elements; what is changed in it is what the next step finds. */
    double[] slot(String name);

    /** The new elements are w + rate·Δ. */
    default void move(double rate) {
        double[] w = model();
        double[] change = change();
        for (int i = 0; i < w.length; i++) {
            w[i] += rate * change[i];
        }
        write(w);
    }

    /**
     * The new elements are those of a step with two moments.
     *
     * @param m the slot of the first moments
     * @param v the slot of the second
     */
    default void adapt(AdaptiveStep step, String m, String v) {
        double[] w = model();
        step.apply(w, change(), slot(m), slot(v), w.length);
        write(w);
    }

    /** These are the new elements; each is rounded to the tensor's type once. */
    void write(double[] elements);

    /**
     * The new elements are the aggregate itself: that of weights, or the model plus that of deltas.
     * It is rounded once, and reads the model only if it has to.
     */
    void takeMean();
}
