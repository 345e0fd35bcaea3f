// SPDX-License-Identifier: Apache-2.0

package io.tributary.transport.mqtt;

import java.nio.ByteBuffer;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.Optional;

/**
 * Payloads that wait aside for their messages, which carry a ticket in their place. Messages come
 * out in the order in which they went in, so what is older than a ticket that is shown belongs to a
 * message that was lost with its connection. Thread-safe.
 */
final class Payloads {

    private record Waiting(long ticket, byte[] payload) {}

    private final Deque<Waiting> waiting = new ArrayDeque<>();
    private long last;

    /** What to give for a payload that is coming. */
    synchronized long next() {
        return ++last;
    }

    /** Keeps the payload of a ticket. */
    synchronized void put(long ticket, byte[] payload) {
        waiting.add(new Waiting(ticket, payload));
    }

    /** The payload of a ticket; empty when one that is newer has been taken already. */
    synchronized Optional<byte[]> take(byte[] ticket) {
        long wanted = ByteBuffer.wrap(ticket).getLong();
        while (!waiting.isEmpty() && waiting.peek().ticket() <= wanted) {
            Waiting next = waiting.remove();
            if (next.ticket() == wanted) {
                return Optional.of(next.payload());
            }
        }
        return Optional.empty();
    }
}
