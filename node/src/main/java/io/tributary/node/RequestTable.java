// SPDX-License-Identifier: Apache-2.0

package io.tributary.node;

import io.tributary.protocol.RejectedException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.HashMap;
import java.util.Map;

/**
 * Who does what is asked: the one place where a request finds its handler. What is not in the table
 * is rejected. Not thread-safe while it is filled.
 */
final class RequestTable {

    /**
     * Does what is asked, and answers itself.
     *
     * @param <R> what is asked
     */
    @FunctionalInterface
    interface Action<R> {

        /**
         * @param user on whose behalf
         * @param channel where the answer goes
         */
        void run(int user, R request, NodeChannel channel) throws IOException;
    }

    /**
     * Makes an answer.
     *
     * @param <R> what is asked
     */
    @FunctionalInterface
    interface Answer<R> {

        /**
         * @param user on whose behalf
         */
        Object to(int user, R request) throws IOException;
    }

    private final String asker;
    private final Map<Class<? extends NodeRequest>, Action<NodeRequest>> actions = new HashMap<>();

    /**
     * @param asker who asks, for people
     */
    RequestTable(String asker) {
        this.asker = asker;
    }

    /** A request of this type is done so. */
    <R extends NodeRequest> RequestTable run(Class<R> type, Action<R> action) {
        actions.put(
                type, (user, request, channel) -> action.run(user, type.cast(request), channel));
        return this;
    }

    /** A request of this type has this answer. */
    <R extends NodeRequest> RequestTable answer(Class<R> type, Answer<R> answer) {
        return run(
                type,
                (user, request, channel) -> channel.send(NodeAnswer.of(answer.to(user, request))));
    }

    /**
     * Does what is asked, or says why not.
     *
     * @return whether it was done
     */
    boolean serve(int user, NodeRequest request, NodeChannel channel) throws IOException {
        try {
            Action<NodeRequest> action = actions.get(request.getClass());
            if (action == null) {
                throw new NodeRejectedException("%s is not for %s".formatted(request, asker));
            }
            action.run(user, request, channel);
            return true;
        } catch (NodeRejectedException | RejectedException | UncheckedIOException e) {
            channel.send(NodeAnswer.rejected(e.getMessage()));
            return false;
        }
    }
}
