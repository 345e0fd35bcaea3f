// SPDX-License-Identifier: Apache-2.0

package io.tributary.testbed.digits;

import io.tributary.operators.optimizer.Algorithm;
import io.tributary.operators.optimizer.FedDynHistory;
import io.tributary.operators.optimizer.Scaffold;
import io.tributary.protocol.tensor.TensorInfo;
import io.tributary.protocol.tensor.TensorSets;
import io.tributary.trainer.TrainingRound;
import java.nio.FloatBuffer;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.Function;

/**
 * What a trainer remembers from round to round for the job's algorithm. Immutable.
 *
 * @param memory FedDyn's gₖ, or Flame's hₖ, or SCAFFOLD's cₖ, by tensor; empty stands for zero
 * @param sent values of the tensor sets that go with the update, by their names in it
 */
record LocalTerms(Map<String, float[]> memory, Map<String, float[]> sent) {

    /** Before the first round. */
    static final LocalTerms NONE = new LocalTerms(Map.of(), Map.of());

    private static boolean has(TrainingRound round, String set) {
        return round.expected().sets().contains(set);
    }

    private static FloatBuffer inSet(TrainingRound round, String set, String tensor) {
        return round.floats(TensorSets.prefix(set) + tensor);
    }

    private static float number(TrainingRound round, String name, float otherwise) {
        return round.config().get(name) instanceof Number number ? number.floatValue() : otherwise;
    }

    private static float alpha(TrainingRound round, int samples) {
        float alpha = number(round, Algorithm.DYNAMIC_ALPHA, 0);
        return has(round, FedDynHistory.HISTORY)
                ? itsAlpha(alpha, round.measured(), samples)
                : alpha;
    }

    /** Flame's α for one trainer, which is larger where samples are few. */
    static float itsAlpha(float alpha, Map<String, Double> measured, int samples) {
        Double inverse = measured.get(FedDynHistory.INVERSE_SAMPLES);
        return inverse == null ? alpha : (float) (alpha / (samples * inverse));
    }

    /** FedProx's μ; FedDyn's quadratic term is the same, with α. */
    static float proximal(TrainingRound round, int samples, float otherwise) {
        float alpha = alpha(round, samples);
        return alpha > 0 ? alpha : number(round, Algorithm.PROXIMAL_MU, otherwise);
    }

    /** Where training begins: at the model; in Flame's FedDyn at w + h. */
    static FloatBuffer start(TrainingRound round, String tensor) {
        FloatBuffer model = round.floats(tensor);
        if (!has(round, FedDynHistory.HISTORY)) {
            return model;
        }
        FloatBuffer history = inSet(round, FedDynHistory.HISTORY, tensor);
        float[] start = new float[model.remaining()];
        for (int i = 0; i < start.length; i++) {
            start[i] = model.get(i) + history.get(i);
        }
        return FloatBuffer.wrap(start);
    }

    /** What is taken from the gradient, by tensor: gₖ, −α·hₖ, or cₖ − c. */
    Map<String, float[]> taken(TrainingRound round, int samples) {
        Map<String, float[]> taken = new TreeMap<>();
        for (TensorInfo tensor : round.tensors()) {
            String name = tensor.name();
            float[] its = of(tensor);
            if (has(round, Scaffold.CONTROL)) {
                taken.put(name, plus(its, -1, inSet(round, Scaffold.CONTROL, name)));
            } else if (has(round, FedDynHistory.HISTORY)) {
                float[] zero = new float[its.length];
                taken.put(name, plus(zero, -alpha(round, samples), FloatBuffer.wrap(its)));
            } else if (memory.containsKey(name)) {
                taken.put(name, its);
            }
        }
        return taken;
    }

    private float[] of(TensorInfo tensor) {
        float[] before = memory.get(tensor.name());
        return before == null ? new float[(int) tensor.elements()] : before.clone();
    }

    /** x + rate·y. */
    private static float[] plus(float[] x, float rate, FloatBuffer y) {
        float[] sum = x.clone();
        for (int i = 0; i < sum.length; i++) {
            sum[i] += rate * y.get(i);
        }
        return sum;
    }

    /**
     * After a training.
     *
     * <ul>
     *   <li>FedDyn (Acar et al., ICLR 2021, algorithm 1): gₖ − α·(wₖ − wᵗ).
     *   <li>Flame's: hₖ + (wₖ − wᵗ), which is sent.
     *   <li>SCAFFOLD (Karimireddy et al., ICML 2020, algorithm 1, option II): cₖ − c + (wᵗ − wₖ) /
     *       (K·η); c + Δcₖ is sent.
     * </ul>
     *
     * @param start what was trained, by tensor: the model, or a trainer's own
     */
    LocalTerms after(
            TrainingRound round,
            Map<String, float[]> start,
            Function<String, float[]> trained,
            DigitNetwork.Training training,
            int samples) {
        float alpha = alpha(round, samples);
        float walked = training.steps(samples) * training.learningRate();
        Map<String, float[]> after = new TreeMap<>();
        Map<String, float[]> sent = new TreeMap<>();
        for (TensorInfo tensor : round.tensors()) {
            String name = tensor.name();
            float[] moved = plus(trained.apply(name), -1, FloatBuffer.wrap(start.get(name)));
            float[] its = of(tensor);
            if (has(round, Scaffold.CONTROL)) {
                float[] control = new float[moved.length];
                for (int i = 0; i < moved.length; i++) {
                    control[i] = -moved[i] / walked;
                }
                its = plus(its, -1, inSet(round, Scaffold.CONTROL, name));
                after.put(name, plus(its, 1, FloatBuffer.wrap(control)));
                sent.put(TensorSets.prefix(Scaffold.CONTROL) + name, control);
            } else if (has(round, FedDynHistory.HISTORY)) {
                after.put(name, plus(its, 1, FloatBuffer.wrap(moved)));
                sent.put(TensorSets.prefix(FedDynHistory.HISTORY) + name, after.get(name));
            } else if (alpha > 0) {
                after.put(name, plus(its, -alpha, FloatBuffer.wrap(moved)));
            }
        }
        return new LocalTerms(after, sent);
    }
}
