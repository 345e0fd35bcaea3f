// SPDX-License-Identifier: Apache-2.0

package io.tributary.sources.base.sink;

import java.io.IOException;
import java.io.Serializable;

/**
 * Where values leave the job.
 *
 * @param <T> the values' type
 */
public interface Egress<T> extends AutoCloseable {

    /**
     * Sends a value, and returns when it has arrived. One that is a state may be left for later, as
     * long as it is not {@link #there}.
     *
     * @return bytes that have left since this was asked last
     */
    long send(T value) throws IOException;

    /**
     * Waits until all that was sent has arrived.
     *
     * @return bytes that have left since this was asked last
     */
    default long flush() throws IOException {
        return 0;
    }

    /** Rises when the other side may have lost what it was to keep. */
    default int connections() {
        return 0;
    }

    /** Whether a value that has been sent is still there, as far as can be told. */
    default boolean there(T value) {
        return true;
    }

    @Override
    void close();

    /**
     * Opens egresses on task managers.
     *
     * @param <T> the values' type
     */
    @FunctionalInterface
    interface Factory<T> extends Serializable {

        /**
         * @param purpose tells this egress from others of the same sink
         */
        Egress<T> open(String purpose) throws IOException;
    }
}
