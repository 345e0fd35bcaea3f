// SPDX-License-Identifier: Apache-2.0

package io.tributary.node;

import java.util.HashMap;
import java.util.Map;
import java.util.Optional;

/**
 * How many connections each of those may have who are known, and how many all others have between
 * them, so that nobody keeps a place from anybody else. Thread-safe.
 */
public final class Visitors {

    private final int ofOne;
    private final int ofStrangers;
    private final Map<Optional<String>, Integer> connections = new HashMap<>();

    /**
     * @param ofOne connections that one who is known may have
     * @param ofStrangers connections that all others may have together
     */
    public Visitors(int ofOne, int ofStrangers) {
        this.ofOne = ofOne;
        this.ofStrangers = ofStrangers;
    }

    /**
     * Whether there is a place for one more; if so, it is taken.
     *
     * @param who a user's id, say; empty for one who is not known
     */
    public synchronized boolean admit(Optional<String> who) {
        int there = connections.getOrDefault(who, 0);
        boolean room = there < (who.isPresent() ? ofOne : ofStrangers);
        if (room) {
            connections.put(who, there + 1);
        }
        return room;
    }

    /** A connection is over. */
    public synchronized void gone(Optional<String> who) {
        connections.computeIfPresent(who, (w, there) -> there == 1 ? null : there - 1);
    }
}
