// SPDX-License-Identifier: Apache-2.0

package io.tributary.testbed.chaos;

import io.tributary.job.graph.JobListener;
import io.tributary.protocol.message.ModelDescription;
import io.tributary.protocol.message.RoundStatus;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.concurrent.TimeUnit;

/** What the job says of its rounds. Thread-safe. */
final class Progress implements JobListener {

    private Optional<RoundStatus> newest = Optional.empty();
    private int closed;
    private final List<Long> steps = new ArrayList<>();

    @Override
    public synchronized void status(RoundStatus status) {
        if (newest.isEmpty() || further(newest.get(), status)) {
            steps.add(System.currentTimeMillis());
        }
        newest = Optional.of(status);
        if (status.state() == RoundStatus.State.CLOSED) {
            closed = Math.max(closed, status.round());
        }
        notifyAll();
    }

    /** A restore goes back, which is no step. */
    private static boolean further(RoundStatus before, RoundStatus now) {
        return now.round() > before.round()
                || now.round() == before.round() && now.updates() > before.updates();
    }

    @Override
    public void model(ModelDescription model) {
        // Rounds say enough.
    }

    /** When a round first went on after {@code millis} since 1970. */
    synchronized OptionalLong stepSince(long millis) {
        return steps.stream().mapToLong(Long::longValue).filter(s -> s >= millis).findFirst();
    }

    /** The newest round that has closed. */
    synchronized int round() {
        return closed;
    }

    synchronized void awaitRound(int round, long seconds) throws InterruptedException {
        long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(seconds);
        while (closed < round) {
            long rest = (end - System.nanoTime()) / 1_000_000;
            if (rest <= 0) {
                throw new IllegalStateException(
                        "round %d did not end within %d s".formatted(round, seconds));
            }
            wait(rest);
        }
    }

    /** Waits until the round of now has no updates. */
    synchronized void awaitEmptyRound(long seconds) throws InterruptedException {
        long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(seconds);
        while (newest.map(RoundStatus::updates).orElse(0) > 0
                && newest.map(RoundStatus::round).orElse(0) > closed) {
            long rest = (end - System.nanoTime()) / 1_000_000;
            if (rest <= 0) {
                throw new IllegalStateException(
                        "%s did not close within %d s".formatted(this, seconds));
            }
            wait(rest);
        }
    }

    @Override
    public synchronized String toString() {
        return newest.map(s -> "round %d, %d updates".formatted(s.round(), s.updates())).orElse("");
    }
}
