// SPDX-License-Identifier: Apache-2.0

package io.tributary.node;

import io.tributary.protocol.message.Names;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.TimeUnit;

/** Barriers by name. They last as long as their node. Thread-safe. */
final class BarrierService {

    private final Map<String, Gathering> gatherings = new HashMap<>();

    /** Those who wait for each other once; the next who come to the name gather anew. */
    private static final class Gathering {

        private final int parties;
        private int here;
        private boolean complete;

        Gathering(int parties) {
            this.parties = parties;
        }
    }

    /**
     * Waits until so many are here.
     *
     * @return which one this was, from 0 on
     * @throws NodeRejectedException when the others do not come in time, or expect another number
     */
    synchronized int await(String name, int parties, long patienceMillis)
            throws NodeRejectedException {
        Names.check("barrier", name);
        if (parties < 1) {
            throw new NodeRejectedException(
                    "barrier %s: expected 1 or more parties, got %d".formatted(name, parties));
        }
        Gathering gathering = gatherings.computeIfAbsent(name, n -> new Gathering(parties));
        if (gathering.parties != parties) {
            throw new NodeRejectedException(
                    "barrier %s: expected %d parties, as those who wait do, got %d"
                            .formatted(name, gathering.parties, parties));
        }
        int mine = gathering.here++;
        if (gathering.here == parties) {
            gathering.complete = true;
            gatherings.remove(name);
            notifyAll();
        }
        long end = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(patienceMillis);
        try {
            while (!gathering.complete) {
                long rest = (end - System.nanoTime()) / 1_000_000;
                if (rest <= 0) {
                    gathering.here--;
                    if (gathering.here == 0) {
                        gatherings.remove(name, gathering);
                    }
                    throw new NodeRejectedException(
                            "barrier %s: expected %d parties within %d ms, %d came"
                                    .formatted(name, parties, patienceMillis, gathering.here + 1));
                }
                wait(rest);
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new NodeRejectedException("the node is closing");
        }
        return mine;
    }
}
