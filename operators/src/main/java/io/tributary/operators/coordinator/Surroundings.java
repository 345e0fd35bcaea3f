// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.coordinator;

import io.tributary.operators.clock.Clock;
import java.security.SecureRandom;

/** The clock and the chance that a coordinator knows; a test brings its own. */
public interface Surroundings extends Clock {

    /** A number that no two starts of a job share. */
    int nonce();

    /** This machine's clock. */
    @Override
    default long nanoTime() {
        return Clock.SYSTEM.nanoTime();
    }

    @Override
    default long micros() {
        return Clock.SYSTEM.micros();
    }

    /**
     * Those of this machine, with a nonce that is known before: for a job that starts once, and
     * whose updates are there before it.
     */
    record Known(int nonce) implements Surroundings {}

    /** Those of this machine. */
    enum System implements Surroundings {
        /** The only one. */
        HERE;

        @Override
        public int nonce() {
            return new SecureRandom().nextInt();
        }
    }
}
