// SPDX-License-Identifier: Apache-2.0

package io.tributary.sources.base.staging;

import io.tributary.protocol.chunk.ChunkHeader;
import io.tributary.sources.base.message.Message;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;

/**
 * The updates for which there was no room, one for each trainer, in the order in which they get
 * some. Not thread-safe.
 */
final class DeferredUpdates {

    private final Map<String, Deferred> updates = new HashMap<>();
    private final Deque<String> queue = new ArrayDeque<>();

    /**
     * An update that will be asked for again.
     *
     * @param header its last chunk's
     * @param message where it came in
     * @param spared whether it has had to give its region up already
     */
    record Deferred(ChunkHeader header, Message message, boolean spared) {}

    int size() {
        return updates.size();
    }

    boolean isEmpty() {
        return updates.isEmpty();
    }

    Optional<Deferred> of(String trainer) {
        return Optional.ofNullable(updates.get(trainer));
    }

    /**
     * Puts an update behind all others, unless there are as many trainers as can be remembered, or
     * a newer one of the same trainer waits.
     */
    void add(ChunkHeader header, Message message) {
        if (updates.size() < Remembered.MAX_TRAINERS && !updates.containsKey(header.trainer())) {
            put(new Deferred(header.withoutMetrics(), message.reminder(), false));
            queue.add(header.trainer());
        }
    }

    /** A newer sending has the place of the one before. */
    void replace(ChunkHeader header) {
        Deferred before = updates.get(header.trainer());
        put(new Deferred(header.withoutMetrics(), before.message(), before.spared()));
    }

    /** Puts an update that gives up its region right behind the update that gets it. */
    void addSecond(Assembly evicted) {
        ChunkHeader header = evicted.header().withoutMetrics();
        queue.remove(header.trainer());
        Optional<String> first = Optional.ofNullable(queue.poll());
        put(new Deferred(header, evicted.message(), true));
        queue.addFirst(header.trainer());
        first.ifPresent(queue::addFirst);
    }

    private void put(Deferred update) {
        updates.put(update.header().trainer(), update);
    }

    /** The next to get room. */
    Optional<Deferred> first() {
        return Optional.ofNullable(queue.peek()).map(updates::get);
    }

    /** The next has got room. */
    void removeFirst() {
        updates.remove(queue.remove());
    }

    void clear() {
        updates.clear();
        queue.clear();
    }
}
