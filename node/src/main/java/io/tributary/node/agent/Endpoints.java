// SPDX-License-Identifier: Apache-2.0

package io.tributary.node.agent;

import io.tributary.memory.mailbox.Descriptor;
import io.tributary.memory.mailbox.Descriptor.Kind;
import io.tributary.memory.mailbox.EndpointId;
import java.io.IOException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.ObjLongConsumer;
import java.util.function.Predicate;

/**
 * Who is reachable, and how: by the kernel's program, which is kept informed, or by the relay here.
 * Guarded by itself.
 */
final class Endpoints {

    /** Descriptors that an endpoint may have unread, as in the kernel's program. */
    private static final int CREDITS = 1024;

    private final Optional<BpfMailbox> bpf;
    private final Map<EndpointId, Connection> byId = new HashMap<>();
    private final Set<EndpointId> ofThisHost = new HashSet<>();
    private final Set<Connection> connections = new LinkedHashSet<>();
    private long relayed;
    private long dropped;
    private long undeliverable;

    Endpoints(Optional<BpfMailbox> bpf) {
        this.bpf = bpf;
    }

    /**
     * A connection speaks for an endpoint from now on.
     *
     * @param hereOnly whether other hosts are not to hear of it
     * @return false when another living connection does
     */
    boolean add(Connection connection, EndpointId id, boolean hereOnly) {
        Connection owner = byId.putIfAbsent(id, connection);
        if (owner != null) {
            return owner == connection;
        }
        // Before the kernel hears of it: should it have no room, this is taken back with the rest.
        boolean first = connection.ids().isEmpty();
        connection.ids().add(id);
        if (hereOnly) {
            ofThisHost.add(id);
        }
        if (first) {
            connections.add(connection);
            // One that the kernel does not have, from another network namespace say, is relayed
            // for and relayed to.
            connection.inKernel(bpf.filter(b -> b.has(connection.cookie())).isPresent());
            inKernel(connection, (b, cookie) -> b.addSocket(cookie, id));
        }
        inKernel(connection, (b, cookie) -> b.addEndpoint(id, cookie));
        return true;
    }

    private void inKernel(Connection connection, ObjLongConsumer<BpfMailbox> action) {
        bpf.filter(ignored -> connection.inKernel())
                .ifPresent(b -> action.accept(b, connection.cookie()));
    }

    /** A connection is over. */
    void remove(Connection connection) {
        connection.close();
        for (EndpointId id : connection.ids()) {
            byId.remove(id, connection);
            ofThisHost.remove(id);
            bpf.ifPresent(b -> b.removeEndpoint(id));
        }
        if (connections.remove(connection)) {
            inKernel(connection, BpfMailbox::removeSocket);
        }
        connection.ids().clear();
    }

    /** An endpoint has read this many descriptors, whichever way they came. */
    void read(Connection connection, long count) {
        connection.read(count);
        inKernel(
                connection,
                (b, cookie) -> b.read(cookie, Math.max(0, count - connection.relayed())));
    }

    /** All ids that other hosts are to hear of. */
    Set<EndpointId> shared() {
        Set<EndpointId> shared = new HashSet<>(byId.keySet());
        shared.removeAll(ofThisHost);
        return shared;
    }

    /** The connection of an endpoint. */
    Optional<Connection> owner(EndpointId id) {
        return Optional.ofNullable(byId.get(id));
    }

    /**
     * Carries a descriptor to an endpoint, here or elsewhere, unless its receiver does not read.
     */
    void relay(Connection from, Descriptor descriptor, Predicate<Descriptor> elsewhere)
            throws IOException {
        EndpointId sender = from.primaryId().orElseThrow();
        Descriptor signed =
                new Descriptor(
                        descriptor.kind(),
                        descriptor.code(),
                        descriptor.to(),
                        sender,
                        descriptor.number(),
                        descriptor.region());
        if (!deliver(signed) && !elsewhere.test(signed)) {
            undeliverable++;
            from.send(
                    new Descriptor(
                            Kind.UNDELIVERABLE,
                            0,
                            sender,
                            descriptor.to(),
                            descriptor.number(),
                            descriptor.region()));
        }
    }

    /**
     * Carries a descriptor to an endpoint of this host.
     *
     * @return false when it is not here
     */
    boolean deliver(Descriptor descriptor) {
        Connection to = byId.get(descriptor.to());
        if (to == null) {
            return false;
        }
        long delivered = counters(to).delivered();
        try {
            if (delivered + to.relayed() - to.read() < CREDITS && to.relay(descriptor)) {
                relayed++;
            } else {
                dropped++;
            }
        } catch (IOException e) {
            // It breaks on the way, and is ended when the selector sees that.
            return false;
        }
        return true;
    }

    /** Descriptors carried here. */
    long relayed() {
        return relayed;
    }

    /** Descriptors dropped because their receivers do not read. */
    long dropped() {
        return dropped;
    }

    /** Descriptors for endpoints that are not there. */
    long undeliverable() {
        return undeliverable;
    }

    List<Connection> connections() {
        return new ArrayList<>(connections);
    }

    BpfMailbox.Counters counters(Connection connection) {
        return bpf.filter(ignored -> connection.inKernel())
                .map(b -> b.counters(connection.cookie()))
                .orElse(new BpfMailbox.Counters(0, 0, 0, 0));
    }

    void close() {
        connections().forEach(this::remove);
    }
}
