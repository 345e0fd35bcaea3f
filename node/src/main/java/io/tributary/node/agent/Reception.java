// SPDX-License-Identifier: Apache-2.0

package io.tributary.node.agent;

import io.tributary.memory.mailbox.Descriptor;
import io.tributary.memory.peer.Door;
import io.tributary.memory.peer.PeerProcess;
import io.tributary.node.Visitors;
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

    private final Door door;
    private final Visitors visitors = new Visitors(MAX_OF_A_USER, MAX_OF_STRANGERS);

    /** Connections that have not said for whom they speak, the oldest first. */
    private final Set<Connection> silent = new LinkedHashSet<>();

    /**
     * @param door where those who are served have been before they come
     */
    Reception(Door door) {
        this.door = door;
    }

    /**
     * A visitor that has a place.
     *
     * @param process whose socket it seems to be, which is good enough for a place and no more
     * @param place whose place it takes; empty: one of those that are for strangers
     */
    record Guest(PeerProcess process, Optional<String> place) {}

    /** Who comes; empty where that cannot be told, or where there is no place for it. */
    Optional<Guest> admit(SocketChannel channel) {
        try {
            return PeerProcess.find(channel)
                    .map(process -> new Guest(process, place(process.user())))
                    .filter(guest -> visitors.admit(guest.place()));
        } catch (IOException e) {
            LOG.warn("a connection is of nobody: {}", e.getMessage());
            return Optional.empty();
        }
    }

    private Optional<String> place(int user) {
        return Optional.of(user).filter(door::expects).map(Object::toString);
    }

    /** Whose process a connection is, by the token that it shows. */
    Optional<Door.Visitor> redeem(Descriptor hello) {
        return hello.region().flatMap(door::redeem);
    }

    /** One that was admitted is there. */
    void waits(Connection connection) {
        silent.add(connection);
    }

    /** It has said for whom it speaks. */
    void greeted(Connection connection) {
        silent.remove(connection);
    }

    /** One that has been silent for too long. */
    Optional<Connection> late() {
        return silent.stream()
                .findFirst()
                .filter(oldest -> oldest.age().compareTo(HELLO_WITHIN) > 0);
    }

    /** It had a place, and could not take it. */
    void turnedAway(Guest guest) {
        visitors.gone(guest.place());
    }

    /** It is over. */
    void gone(Connection connection) {
        if (connection.end()) {
            visitors.gone(connection.guest().place());
        }
        silent.remove(connection);
    }
}
