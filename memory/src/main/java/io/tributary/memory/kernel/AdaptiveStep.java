// SPDX-License-Identifier: Apache-2.0

package io.tributary.memory.kernel;

/**
 * What a step of Adagrad, Adam or Yogi does to each element, where d is what changed:
 *
 * <pre>
 * m = β₁·m + (1 − β₁)·d
 * v = keep·v + add·d²                of Yogi v − add·d²·sign(v − d²)
 * w = w + rate·m / (√v·scale + τ)
 * </pre>
 *
 * @param beta1 β₁
 * @param keep how much of v stays; Yogi has none
 * @param add how much of d² comes
 * @param yogi whether v changes as Yogi's does
 * @param rate of the step
 * @param scale of √v
 * @param tau τ
 */
public record AdaptiveStep(
        double beta1,
        double keep,
        double add,
        boolean yogi,
        double rate,
        double scale,
        double tau) {

    /**
     * Makes it, in float64.
     *
     * @param w the elements, changed
     * @param d what changed, for each of them
     * @param m first moments, changed
     * @param v second moments, changed
     * @param count how many elements, of the first
     */
    public void apply(double[] w, double[] d, double[] m, double[] v, int count) {
        for (int i = 0; i < count; i++) {
            m[i] = beta1 * m[i] + (1 - beta1) * d[i];
        }
        if (yogi) {
            for (int i = 0; i < count; i++) {
                double square = d[i] * d[i];
                v[i] -= add * square * Math.signum(v[i] - square);
            }
        } else {
            for (int i = 0; i < count; i++) {
                v[i] = keep * v[i] + add * (d[i] * d[i]);
            }
        }
        // A loop of its own has no branch, and several elements are computed at once.
        for (int i = 0; i < count; i++) {
            w[i] += rate * m[i] / (Math.sqrt(v[i]) * scale + tau);
        }
    }
}
