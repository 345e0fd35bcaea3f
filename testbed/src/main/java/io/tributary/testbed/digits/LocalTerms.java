// SPDX-License-Identifier: Apache-2.0

package io.tributary.testbed.digits;

import io.tributary.operators.optimizer.Scaffold;
import io.tributary.protocol.tensor.TensorInfo;
import io.tributary.protocol.tensor.TensorSets;
import io.tributary.trainer.TrainingRound;
import java.nio.FloatBuffer;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.Function;

/**
 * What a trainer remembers from round to round for the job's algorithm, by tensor. Immutable.
 *
 * @param memory FedDyn's gₖ or SCAFFOLD's cₖ, which is taken from the gradient; empty stands for
 *     zero
 * @param control what SCAFFOLD's trainer sends as its set: c + Δcₖ
 */
record LocalTerms(Map<String, float[]> memory, Map<String, float[]> control) {

    /** Before the first round. */
    static final LocalTerms NONE = new LocalTerms(Map.of(), Map.of());

    /** cₖ − c, which SCAFFOLD takes from the gradient. */
    Map<String, float[]> withoutControl(TrainingRound round) {
        Map<String, float[]> taken = new TreeMap<>();
        for (TensorInfo tensor : round.tensors()) {
            FloatBuffer c = control(round, tensor.name());
            float[] its = of(tensor);
            for (int i = 0; i < its.length; i++) {
                its[i] -= c.get(i);
            }
            taken.put(tensor.name(), its);
        }
        return taken;
    }

    private static FloatBuffer control(TrainingRound round, String tensor) {
        return round.floats(TensorSets.prefix(Scaffold.CONTROL) + tensor);
    }

    private float[] of(TensorInfo tensor) {
        float[] before = memory.get(tensor.name());
        return before == null ? new float[(int) tensor.elements()] : before.clone();
    }

    /** After a training by FedDyn (Acar et al., ICLR 2021, algorithm 1): gₖ − α·(wₖ − wᵗ). */
    LocalTerms dynamic(TrainingRound round, Function<String, float[]> trained, float alpha) {
        Map<String, float[]> after = new TreeMap<>();
        for (TensorInfo tensor : round.tensors()) {
            after.put(
                    tensor.name(),
                    gradient(
                            memory.get(tensor.name()),
                            alpha,
                            trained.apply(tensor.name()),
                            round.floats(tensor.name())));
        }
        return new LocalTerms(after, Map.of());
    }

    /**
     * FedDyn's gₖ after a training.
     *
     * @param before the same before it; null for zeros
     * @param trained the trained values
     * @param start those of before
     */
    static float[] gradient(float[] before, float alpha, float[] trained, FloatBuffer start) {
        float[] after = before == null ? new float[trained.length] : before.clone();
        for (int i = 0; i < after.length; i++) {
            after[i] -= alpha * (trained[i] - start.get(i));
        }
        return after;
    }

    /**
     * After a training by SCAFFOLD (Karimireddy et al., ICML 2020, algorithm 1, option II): cₖ − c
     * + (wᵗ − wₖ) / (K·η).
     */
    LocalTerms scaffold(
            TrainingRound round,
            Function<String, float[]> trained,
            DigitNetwork.Training training,
            int samples) {
        float rate = training.steps(samples) * training.learningRate();
        Map<String, float[]> after = new TreeMap<>();
        Map<String, float[]> sent = new TreeMap<>();
        for (TensorInfo tensor : round.tensors()) {
            FloatBuffer start = round.floats(tensor.name());
            FloatBuffer c = control(round, tensor.name());
            float[] values = trained.apply(tensor.name());
            float[] its = of(tensor);
            float[] control = new float[values.length];
            for (int i = 0; i < values.length; i++) {
                control[i] = (start.get(i) - values[i]) / rate;
                its[i] += control[i] - c.get(i);
            }
            after.put(tensor.name(), its);
            sent.put(tensor.name(), control);
        }
        return new LocalTerms(after, sent);
    }
}
