// SPDX-License-Identifier: Apache-2.0

package io.tributary.testbed.digits;

import java.util.ArrayList;
import java.util.List;

/**
 * Labelled images of 28 × 28 grey values.
 *
 * @param pixels image after image, row by row, each value 0 (paper) to 1 (ink)
 * @param labels 0 to 9
 */
public record Digits(float[] pixels, int[] labels) {

    /** Pixels of an image. */
    public static final int PIXELS = 28 * 28;

    /** Different labels. */
    public static final int CLASSES = 10;

    public Digits {
        if (pixels.length != labels.length * PIXELS) {
            throw new IllegalArgumentException(
                    "%d pixels do not make %d images".formatted(pixels.length, labels.length));
        }
    }

    /** Number of images. */
    public int size() {
        return labels.length;
    }

    /** Those at the given indices. */
    public Digits select(List<Integer> indices) {
        float[] chosen = new float[indices.size() * PIXELS];
        int[] chosenLabels = new int[indices.size()];
        for (int i = 0; i < indices.size(); i++) {
            System.arraycopy(pixels, indices.get(i) * PIXELS, chosen, i * PIXELS, PIXELS);
            chosenLabels[i] = labels[indices.get(i)];
        }
        return new Digits(chosen, chosenLabels);
    }

    /** Those from {@code from} on, before {@code to}. */
    public Digits range(int from, int to) {
        List<Integer> indices = new ArrayList<>();
        for (int i = from; i < to; i++) {
            indices.add(i);
        }
        return select(indices);
    }

    /**
     * Data to learn from and data to be examined with.
     *
     * @param train to learn from
     * @param test to be examined with
     */
    public record Split(Digits train, Digits test) {}
}
