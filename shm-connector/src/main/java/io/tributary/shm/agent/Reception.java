// SPDX-License-Identifier: Apache-2.0

package io.tributary.shm.agent;

import io.tributary.shm.node.Visitors;
import io.tributary.shm.peer.PeerProcess;
import java.io.IOException;
import java.nio.channels.SocketChannel;
import java.time.Duration;
import java.util.LinkedHashSet;
import java.util.Optional;
import java.util.Set;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Who may connect to the agent, and for how long without saying for whom it speaks. Nothing is kept
 * for a connection before the kernel has said whose it is. Not thread-safe.
 */
final class Reception {

    private static final Logger LOG = LoggerFactory.getLogger(Reception.class);
    private static final int MAX_OF_A_USER = 4_096;

    /** Just so that they can be told. */
    private static final int MAX_OF_STRANGERS = 64;

    private static final Duration HELLO_WITHIN = Duration.ofSeconds(5);

    private final Set<Integer> users;
    private final Visitors visitors = new Visitors(MAX_OF_A_USER, MAX_OF_STRANGERS);

    /** Connections that have not said for whom they speak, the oldest first. */
    private final Set<Connection> silent = new LinkedHashSet<>();

    /**
     * @param users ids of those whose processes are served
     */
    Reception(Set<Integer> users) {
        this.users = users;
    }

    /**
     * Whose connection it is; empty where that cannot be told, or where there is no place for it.
     */
    Optional<PeerProcess> admit(SocketChannel channel) {
        try {
            return PeerProcess.find(channel).filter(process -> visitors.admit(known(process)));
        } catch (IOException e) {
            LOG.warn("a connection is of nobody: {}", e.getMessage());
            return Optional.empty();
        }
    }

    private Optional<String> known(PeerProcess process) {
        return Optional.of(process.user()).filter(users::contains).map(user -> "" + user);
    }

    /** One that was admitted is there. */
    void waits(Connection connection) {
        silent.add(connection);
    }

    /** Whether its user is served. */
    boolean serves(Connection connection) {
        return known(connection.process()).isPresent();
    }

    /**
     * It has said for whom it speaks.
     *
     * @return whether for the first time
     */
    boolean greeted(Connection connection) {
        return silent.remove(connection);
    }

    /** One that has been silent for too long. */
    Optional<Connection> late() {
        return silent.stream()
                .findFirst()
                .filter(oldest -> oldest.age().compareTo(HELLO_WITHIN) > 0);
    }

    /** It is over. */
    void gone(Connection connection) {
        if (connection.end()) {
            visitors.gone(known(connection.process()));
        }
        silent.remove(connection);
    }
}
