// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.clock;

import java.io.Serializable;
import java.time.Instant;
import java.time.temporal.ChronoUnit;

/** The only clock that operators read; a test brings its own. Thread-safe. */
public interface Clock extends Serializable {

    /** This machine's. */
    Clock SYSTEM = SystemClock.HERE;

    /** Time that only goes forward, ns. */
    long nanoTime();

    /** Time to show to people, µs since 1970; nothing is decided by it. */
    long micros();

    /** This machine's. */
    enum SystemClock implements Clock {
        /** The only one. */
        HERE;

        @Override
        public long nanoTime() {
            return System.nanoTime();
        }

        @Override
        public long micros() {
            return ChronoUnit.MICROS.between(Instant.EPOCH, Instant.now());
        }
    }
}
