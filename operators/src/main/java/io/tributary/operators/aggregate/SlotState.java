// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.aggregate;

import io.tributary.operators.optimizer.ServerOptimizer;
import io.tributary.protocol.message.RoundId;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import org.apache.flink.runtime.execution.SuppressRestartsException;

/**
 * What a server optimizer remembers for one shard. Whether a round's model is taken is decided when
 * all of its shards are there, further down; so what was before the round is kept beside what is
 * after it, and the next round shows which of them holds. Their memory takes turns: a step reads
 * the one that holds and writes over the other. Flink hands out a copy while a checkpoint is
 * writing, so a step may do that with what it has read from the state, and with nothing else.
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
     * @param vectors by name, an entry for each element of the shard, in chunks; a chunk that a
     *     step left alone is in what was before it and in what is after it
     */
    record Slots(int steps, Map<String, double[][]> vectors) {

        /**
         * Elements of each chunk but the last: a step's arrays are in a core's first cache
         * together. An array of a whole shard would also be one that the garbage collector has to
         * treat as a region of its own.
         */
        static final int CHUNK = 1 << 10;

        /** Before the first step. */
        static final Slots NONE = new Slots(0, Map.of());

        /** The same in memory of its own. */
        Slots copy() {
            Map<String, double[][]> copies = new TreeMap<>();
            vectors.forEach(
                    (name, chunks) ->
                            copies.put(
                                    name,
                                    Arrays.stream(chunks)
                                            .map(double[]::clone)
                                            .toArray(double[][]::new)));
            return new Slots(steps, copies);
        }

        /** Room for so many elements, of zeros. */
        static double[][] room(int length) {
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

        /** The slot; what it is at first where there is none yet. */
        private double[][] vector(ServerOptimizer optimizer, String name, int length) {
            double[][] vector = vectors.get(name);
            if (vector == null) {
                double[][] first = room(length);
                for (double[] chunk : first) {
                    Arrays.fill(chunk, optimizer.initial(name));
                }
                return first;
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
         * @param optimizer whose slots there are after it
         * @param length elements of the shard
         * @param spare what is written over
         */
        Changes change(ServerOptimizer optimizer, int length, Slots spare) {
            Map<String, double[][]> now = new TreeMap<>();
            for (String name : optimizer.slots()) {
                now.put(name, vector(optimizer, name, length).clone());
            }
            return new Changes(this, now, spare);
        }
    }

    /**
     * Slots in a step. A chunk is copied when it is changed, while it is in the cache; others stay
     * those of before. Not thread-safe.
     *
     * @param before what was there before
     * @param now the same chunks, or others
     * @param spare whose memory others take
     */
    record Changes(Slots before, Map<String, double[][]> now, Slots spare) {

        /** A chunk of a slot as it is now, to be read. */
        double[] read(String name, int number) {
            return now.get(name)[number];
        }

        /** A chunk of a slot, to be changed. */
        double[] change(String name, int number) {
            double[] is = read(name, number);
            double[] target = overwrite(name, number);
            if (target != is) {
                System.arraycopy(is, 0, target, 0, is.length);
            }
            return target;
        }

        /** A chunk of a slot with anything in it, all of which is to be written. */
        double[] overwrite(String name, int number) {
            double[][] vector = now.get(name);
            double[][] old = before.vectors().get(name);
            if (old != null && vector[number] == old[number]) {
                vector[number] = memory(spare.vectors().get(name), old, number);
            }
            return vector[number];
        }

        private static double[] memory(double[][] spare, double[][] old, int number) {
            boolean fits =
                    spare != null
                            && spare.length == old.length
                            && spare[number] != old[number]
                            && spare[number].length == old[number].length;
            return fits ? spare[number] : new double[old[number].length];
        }

        /** What is there after the step. */
        Slots done() {
            return new Slots(before.steps() + 1, now);
        }
    }
}
