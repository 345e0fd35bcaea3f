// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.coordinator;

import java.time.Duration;
import java.util.OptionalLong;

/**
 * What time it is for a job. The state keeps it, so it goes on where a checkpoint left it. Not
 * thread-safe.
 *
 * <p>It has two hands. One is time in which the coordinator ran: deadlines are measured with it, so
 * neither a pause nor a step of the system's clock nor a restore makes a round end early. The other
 * is time in which trainers could be heard: silence is measured with it. That one moves when a
 * trainer is heard, by the time since the one before, but never far: while nobody at all is heard,
 * because the job stands still, or a broker is away, silence says nothing about anybody.
 */
@Policy
final class JobTime {

    private static final long MAX_STEP_NANOS = Duration.ofSeconds(1).toNanos();

    /** One pause is not to use up a trainer's patience by itself. */
    private static final int STEPS_OF_SILENCE = 4;

    private final long maxSilenceNanos;
    private OptionalLong last = OptionalLong.empty();
    private OptionalLong heard = OptionalLong.empty();

    /**
     * @param silence after which a trainer counts as gone
     */
    JobTime(Duration silence) {
        this.maxSilenceNanos = Math.max(1, silence.toNanos() / STEPS_OF_SILENCE);
    }

    /** Something happens at {@code now}. */
    void advance(CoordinatorState state, long now) {
        state.ranNanos += step(last, now, MAX_STEP_NANOS);
        last = OptionalLong.of(now);
        // Silence is not counted from before the job ran.
        heard = heard.isPresent() ? heard : last;
    }

    /** A trainer is heard at {@code now}. */
    void heard(CoordinatorState state, long now) {
        state.listenedNanos += step(heard, now, maxSilenceNanos);
        heard = OptionalLong.of(now);
    }

    private static long step(OptionalLong before, long now, long most) {
        return Math.min(Math.max(0, now - before.orElse(now)), most);
    }
}
