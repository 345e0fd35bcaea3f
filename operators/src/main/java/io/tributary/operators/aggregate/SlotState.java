// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.aggregate;

import io.tributary.protocol.message.RoundId;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import org.apache.flink.runtime.execution.SuppressRestartsException;

/**
 * What a server optimizer remembers for one shard. Whether a round's model is taken is decided when
 * all of its shards are there, further down; so what was before the round is kept beside what is
 * after it, and the next round shows which of them holds. Immutable: a checkpoint may be writing
 * it.
 *
 * @param version the version of the model that the last step made
 * @param before what was there before that step
 * @param after what is there after it
 */
record SlotState(RoundId version, Slots before, Slots after) {

    /**
     * Looks whether it is an optimizer's that keeps these slots.
     *
     * @throws SuppressRestartsException when it is another's
     */
    void requireOf(List<String> names) {
        Set<String> its = after.vectors.keySet();
        if (!its.isEmpty() && !its.equals(Set.copyOf(names))) {
            throw new SuppressRestartsException(
                    new IllegalStateException(
                            "the savepoint is of an algorithm that remembers %s, and this job's remembers %s; resume with the algorithm of before, or submit a new job whose model.initial is the newest model"
                                    .formatted(its, names)));
        }
    }

    /**
     * Slots between two steps.
     *
     * @param steps how many there were
     * @param vectors by name, an entry for each element of the shard; not to be changed
     */
    record Slots(int steps, Map<String, double[]> vectors) {

        /** Before the first step. */
        static final Slots NONE = new Slots(0, Map.of());

        /** A slot to be changed; zeros where there is none yet. */
        double[] copy(String name, int length) {
            double[] vector = vectors.get(name);
            if (vector == null) {
                return new double[length];
            }
            if (vector.length != length) {
                throw new SuppressRestartsException(
                        new IllegalStateException(
                                "the optimizer's memory has %d elements for a shard that has %d now; resume with the model.shard-elements of before"
                                        .formatted(vector.length, length)));
            }
            return vector.clone();
        }

        /** After one more step. */
        Slots next(Map<String, double[]> changed) {
            return new Slots(steps + 1, new TreeMap<>(changed));
        }
    }
}
