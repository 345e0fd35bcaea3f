// SPDX-License-Identifier: Apache-2.0

package io.tributary.sources.base.message;

import io.tributary.protocol.message.DeadLetter;
import io.tributary.protocol.message.TrainerEvent;
import java.util.function.Consumer;
import java.util.function.LongSupplier;

/**
 * How many rejections are told to anybody: so many at once, and so many each second after that. A
 * rejection is longer than the message that it answers, and goes out twice, so without a bound a
 * client that sends garbage would make the job send more. The next rejection that is told says how
 * many were not. Not thread-safe.
 */
public final class RejectionBudget {

    private final int burst;
    private final long nanosEach;
    private final LongSupplier nanoTime;

    /** When the budget would have been whole, or will be. */
    private long whole;

    private long untold;

    /**
     * @param burst rejections that are told at once
     * @param perSecond rejections that are told each second in the long run
     * @param nanoTime the clock
     */
    public RejectionBudget(int burst, int perSecond, LongSupplier nanoTime) {
        this.burst = burst;
        this.nanosEach = 1_000_000_000L / perSecond;
        this.nanoTime = nanoTime;
        this.whole = nanoTime.getAsLong();
    }

    /** Of those whom the job does not know, all together. */
    public static RejectionBudget ofStrangers(LongSupplier nanoTime) {
        return new RejectionBudget(1_000, 100, nanoTime);
    }

    /** Of one member of the job. */
    public static RejectionBudget ofMember(LongSupplier nanoTime) {
        return new RejectionBudget(100, 10, nanoTime);
    }

    /** Hands a rejection on, if there is something left. */
    public void tell(TrainerEvent.InputRejected rejection, Consumer<TrainerEvent> out) {
        long now = nanoTime.getAsLong();
        if (whole - now > (burst - 1) * nanosEach) {
            untold++;
            return;
        }
        whole = Math.max(whole - now, 0) + now + nanosEach;
        out.accept(untold == 0 ? rejection : withUntold(rejection));
        untold = 0;
    }

    private TrainerEvent.InputRejected withUntold(TrainerEvent.InputRejected rejection) {
        DeadLetter letter = rejection.deadLetter();
        return new TrainerEvent.InputRejected(
                new DeadLetter(
                        letter.source(),
                        letter.trainer(),
                        letter.round(),
                        letter.epoch(),
                        letter.reason(),
                        "(%d rejections before this one came too fast to be told) %s"
                                .formatted(untold, letter.text())),
                rejection.answer(),
                rejection.attempt(),
                rejection.instance());
    }
}
