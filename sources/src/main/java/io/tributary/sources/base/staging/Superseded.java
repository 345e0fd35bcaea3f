// SPDX-License-Identifier: Apache-2.0

package io.tributary.sources.base.staging;

import java.util.LinkedHashSet;
import java.util.Set;

/** The attempts of one update that others have superseded, the newest of them. Not thread-safe. */
final class Superseded {

    private static final int REMEMBERED = 16;

    private final Set<Long> attempts = new LinkedHashSet<>();

    void add(long attempt) {
        attempts.add(attempt);
        if (attempts.size() > REMEMBERED) {
            attempts.remove(attempts.iterator().next());
        }
    }

    void addAll(Superseded earlier) {
        earlier.attempts.forEach(this::add);
    }

    boolean contains(long attempt) {
        return attempts.contains(attempt);
    }
}
