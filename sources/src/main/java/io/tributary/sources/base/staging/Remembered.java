// SPDX-License-Identifier: Apache-2.0

package io.tributary.sources.base.staging;

import java.util.LinkedHashMap;
import java.util.Map;

/**
 * Something about each of the trainers that were heard of last. Not thread-safe.
 *
 * @param <V> what
 */
final class Remembered<V> extends LinkedHashMap<String, V> {

    /** What is forgotten is a resend's affair. */
    static final int MAX_TRAINERS = 10_000;

    private static final long serialVersionUID = 1L;

    Remembered() {
        super(16, 0.75f, true);
    }

    @Override
    protected boolean removeEldestEntry(Map.Entry<String, V> eldest) {
        return size() > MAX_TRAINERS;
    }
}
