// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.aggregate;

import io.tributary.operators.aggregate.AggregatorInput.CloseNode;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * What one tree node holds for one shard of one round while the subtask works on it: what waits to
 * be folded, and the sum so far, which is that in {@code narrow} plus that in {@code wide}. Not
 * thread-safe.
 */
final class NodeFold {

    /** Contributions that have come and are not yet in the sum. */
    final List<AggregatorInput> waiting = new ArrayList<>();

    Optional<FloatSum> narrow = Optional.empty();

    /** Empty as long as there is nothing in it. */
    double[] wide = {};

    double weight;
    int contributions;
    Optional<CloseNode> close = Optional.empty();

    /** Whether the state has an entry for it. */
    boolean inState;

    /** Whether the state's entry says less than this. */
    boolean changed;

    static NodeFold of(NodeAccumulator accumulator) {
        NodeFold fold = new NodeFold();
        // The state's own array must not change: a snapshot may be reading it.
        fold.wide = accumulator.sum().clone();
        fold.weight = accumulator.weight();
        fold.contributions = accumulator.contributions();
        fold.close = accumulator.close();
        fold.inState = true;
        return fold;
    }

    /** What a checkpoint is to remember; nothing may wait. */
    NodeAccumulator snapshot(int elements) {
        return new NodeAccumulator(
                contributions == 0 ? wide : total(elements), weight, contributions, close);
    }

    /** The sum so far, in an array of its own. */
    double[] total(int elements) {
        double[] total = wide.length == 0 ? new double[elements] : wide.clone();
        narrow.ifPresent(n -> n.addTo(total));
        return total;
    }

    double[] wide(int elements) {
        if (wide.length == 0) {
            wide = new double[elements];
        }
        return wide;
    }

    boolean complete() {
        return close.isPresent() && close.get().contributions() == contributions + waiting.size();
    }
}
