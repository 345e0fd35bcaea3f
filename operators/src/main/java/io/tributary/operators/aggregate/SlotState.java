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
     * @param vectors by name, an entry for each element of the shard, in chunks; not to be changed
     */
    record Slots(int steps, Map<String, double[][]> vectors) {

        /**
         * Elements of each chunk but the last. An array of a whole shard would be one that the
         * garbage collector has to treat as a region of its own.
         */
        static final int CHUNK = 1 << 12;

        /** Before the first step. */
        static final Slots NONE = new Slots(0, Map.of());

        /** Zeros for so many elements. */
        static double[][] zeros(int length) {
            double[][] chunks = new double[(length + CHUNK - 1) / CHUNK][];
            for (int i = 0; i < chunks.length; i++) {
                chunks[i] = new double[Math.min(CHUNK, length - i * CHUNK)];
            }
            return chunks;
        }

        /** How many elements there are. */
        static int length(double[][] chunks) {
            return chunks.length == 0
                    ? 0
                    : (chunks.length - 1) * CHUNK + chunks[chunks.length - 1].length;
        }

        /** The slot; zeros where there is none yet. */
        private double[][] vector(String name, int length) {
            double[][] vector = vectors.get(name);
            if (vector == null) {
                return zeros(length);
            }
            if (length(vector) != length) {
                throw new SuppressRestartsException(
                        new IllegalStateException(
                                "the optimizer's memory has %d elements for a shard that has %d now; resume with the model.shard-elements of before"
                                        .formatted(length(vector), length)));
            }
            return vector;
        }

        /**
         * Begins a step.
         *
         * @param names of the slots that there are after it
         * @param length elements of the shard
         */
        Changes change(List<String> names, int length) {
            Map<String, double[][]> now = new TreeMap<>();
            names.forEach(name -> now.put(name, vector(name, length).clone()));
            return new Changes(this, now);
        }
    }

    /**
     * Slots in a step. A chunk is copied when it is changed, while it is in the cache; others stay
     * those of before. Not thread-safe.
     *
     * @param before what was there before
     * @param now the same chunks, or others
     */
    record Changes(Slots before, Map<String, double[][]> now) {

        /** A chunk of a slot, to be changed. */
        double[] chunk(String name, int number) {
            double[][] vector = now.get(name);
            double[][] old = before.vectors().get(name);
            if (old != null && vector[number] == old[number]) {
                vector[number] = old[number].clone();
            }
            return vector[number];
        }

        /** What is there after the step. */
        Slots done() {
            return new Slots(before.steps() + 1, now);
        }
    }
}
