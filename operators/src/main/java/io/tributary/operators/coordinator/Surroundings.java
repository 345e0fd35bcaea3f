// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.coordinator;

import java.io.Serializable;
import java.security.SecureRandom;
import java.time.Instant;
import java.time.temporal.ChronoUnit;

/** The clock and the chance that a coordinator knows; a test brings its own. */
public interface Surroundings extends Serializable {

    /** Time that only goes forward, ns. */
    long nanoTime();

    /** Time to show to people, µs since 1970; nothing is decided by it. */
    long micros();

    /** A number that no two starts of a job share. */
    int nonce();

    /**
     * Those of this machine, with a nonce that is known before: for a job that starts once, and
     * whose updates are there before it.
     */
    record Known(int nonce) implements Surroundings {

        @Override
        public long nanoTime() {
            return System.HERE.nanoTime();
        }

        @Override
        public long micros() {
            return System.HERE.micros();
        }
    }

    /** Those of this machine. */
    enum System implements Surroundings {
        /** The only one. */
        HERE;

        @Override
        public long nanoTime() {
            return java.lang.System.nanoTime();
        }

        @Override
        public long micros() {
            return ChronoUnit.MICROS.between(Instant.EPOCH, Instant.now());
        }

        @Override
        public int nonce() {
            return new SecureRandom().nextInt();
        }
    }
}
