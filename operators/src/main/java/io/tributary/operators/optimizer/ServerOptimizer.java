// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.optimizer;

import java.io.Serializable;
import java.util.List;

/**
 * How a round's aggregate changes the global model: pure arithmetic, element by element. It keeps
 * nothing itself. What it remembers from round to round are vectors with names, its slots; the top
 * of the tree keeps them in Flink's state, and forgets what a rejected round has changed.
 * Implementations are immutable and thread-safe.
 */
public interface ServerOptimizer extends Serializable {

    /**
     * Names of the vectors that it keeps: a float64 for each element of the model. One name has one
     * meaning among all optimizers, since a savepoint is taken where names are equal.
     */
    default List<String> slots() {
        return List.of();
    }

    /** What each element of a slot is before an element's first step. */
    default double initial(String slot) {
        return 0;
    }

    /** Whether it has slots, or asks how many steps there were; without, nothing is kept. */
    default boolean remembers() {
        return !slots().isEmpty();
    }

    /**
     * Names of tensor sets that the model and updates have beside the model's own tensors. A set
     * has a tensor {@code SET/NAME} for each floating tensor {@code NAME}, at first zero.
     */
    default List<String> sets() {
        return List.of();
    }

    /**
     * Makes new elements of a run of one tensor. It must write all of them, by {@link
     * TensorStep#write} or {@link TensorStep#takeMean}. Tensors of integers are not asked for: they
     * become their mean.
     */
    void step(TensorStep step);
}
