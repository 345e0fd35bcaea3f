// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.rule;

import java.util.Collection;
import java.util.Comparator;
import java.util.Optional;
import org.apache.commons.text.similarity.LevenshteinDistance;

/** What somebody may have meant who wrote a word that nobody knows. Stateless and thread-safe. */
public final class Suggestion {

    private static final LevenshteinDistance DISTANCE = LevenshteinDistance.getDefaultInstance();

    private Suggestion() {}

    /** The end of a sentence with the word that differs least, if that is little. */
    public static Optional<String> of(String wrong, Collection<String> words) {
        return words.stream()
                .min(Comparator.comparing(word -> DISTANCE.apply(word, wrong)))
                .filter(best -> DISTANCE.apply(best, wrong) <= Math.max(2, wrong.length() / 3))
                .map("; did you mean '%s'?"::formatted);
    }
}
