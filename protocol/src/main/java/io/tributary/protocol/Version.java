// SPDX-License-Identifier: Apache-2.0

package io.tributary.protocol;

import java.util.Optional;

/**
 * The version of Tributary that a class is of, as the manifest of its jar says. The job's jar and
 * the jars in Flink's {@code lib/} come to a task manager by different ways, and belong together.
 */
public final class Version {

    private Version() {}

    /** The version of a class's jar; empty where it is in none, as in a test. */
    public static Optional<String> of(Class<?> type) {
        return Optional.ofNullable(type.getPackage().getImplementationVersion());
    }

    /**
     * Checks that a class of the job is of the version of this library.
     *
     * @throws IllegalStateException when it is of another
     */
    public static void requireSame(Class<?> ofJob) {
        requireSame(of(ofJob), of(Version.class));
    }

    static void requireSame(Optional<String> job, Optional<String> library) {
        if (job.isPresent() && library.isPresent() && !job.equals(library)) {
            throw new IllegalStateException(
                    "the job is of version %s, and the jars in Flink's lib/ on this host are of version %s; put those of the job's release (flink/lib/) there, or use its image"
                            .formatted(job.get(), library.get()));
        }
    }
}
