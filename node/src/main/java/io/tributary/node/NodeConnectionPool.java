// SPDX-License-Identifier: Apache-2.0

package io.tributary.node;

import java.io.IOException;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/**
 * Connections to other nodes, used again and again. Those to a node that is lost are closed, so
 * that nobody waits for it. Thread-safe.
 */
final class NodeConnectionPool implements AutoCloseable {

    /** Connections to each node that are kept while nobody uses them. */
    private static final int KEPT = 8;

    private final ClusterMembership membership;
    private final NodeSecret secret;
    private final Map<String, Deque<NodeChannel>> idle = new HashMap<>();
    private final Map<NodeChannel, String> used = new HashMap<>();
    private boolean closed;

    NodeConnectionPool(ClusterMembership membership, NodeSecret secret) {
        this.membership = membership;
        this.secret = secret;
    }

    /** What is done with a connection. */
    @FunctionalInterface
    interface Use<T> {
        T with(NodeChannel channel) throws IOException;
    }

    /**
     * Does something with a connection to a node, that may be done again: a connection that was
     * kept may have died unnoticed, and then another is used.
     *
     * @throws NodeRejectedException when the node rejects, is not known, or is lost meanwhile
     */
    <T> T use(String node, Use<T> use) throws IOException {
        membership.requireAlive(node);
        Optional<NodeChannel> kept = kept(node);
        if (kept.isPresent()) {
            try {
                return use(node, kept.get(), use);
            } catch (NodeRejectedException e) {
                throw e;
            } catch (IOException e) {
                return useFresh(node, use);
            }
        }
        return useFresh(node, use);
    }

    /** The same with a new connection. */
    <T> T useFresh(String node, Use<T> use) throws IOException {
        membership.requireAlive(node);
        try {
            return use(node, connect(node), use);
        } catch (NodeRejectedException e) {
            throw e;
        } catch (IOException e) {
            membership.requireAlive(node);
            throw e;
        }
    }

    private <T> T use(String node, NodeChannel channel, Use<T> use) throws IOException {
        boolean whole = false;
        try {
            T result = use.with(channel);
            whole = true;
            return result;
        } catch (NodeRejectedException e) {
            // It was said in full, so the connection is as good as before.
            whole = true;
            throw e;
        } finally {
            giveBack(node, channel, whole);
        }
    }

    private synchronized Optional<NodeChannel> kept(String node) {
        Optional<NodeChannel> kept =
                Optional.ofNullable(idle.getOrDefault(node, new ArrayDeque<>()).poll());
        kept.ifPresent(channel -> used.put(channel, node));
        return kept;
    }

    private NodeChannel connect(String node) throws IOException {
        NodeChannel made =
                Handshake.open(membership.address(node), membership.self().node(), secret, node);
        synchronized (this) {
            used.put(made, node);
        }
        return made;
    }

    private synchronized void giveBack(String node, NodeChannel channel, boolean whole) {
        boolean mine = used.remove(channel) != null;
        Deque<NodeChannel> kept = idle.computeIfAbsent(node, key -> new ArrayDeque<>());
        if (whole && mine && !closed && kept.size() < KEPT) {
            kept.push(channel);
        } else {
            channel.close();
        }
    }

    /** Closes all connections to a node. */
    synchronized void lost(String node) {
        idle.getOrDefault(node, new ArrayDeque<>()).forEach(NodeChannel::close);
        idle.remove(node);
        Set<NodeChannel> waiting = new HashSet<>();
        used.forEach(
                (channel, name) -> {
                    if (name.equals(node)) {
                        waiting.add(channel);
                    }
                });
        waiting.forEach(
                channel -> {
                    used.remove(channel);
                    channel.close();
                });
    }

    @Override
    public synchronized void close() {
        closed = true;
        idle.values().forEach(all -> all.forEach(NodeChannel::close));
        used.keySet().forEach(NodeChannel::close);
    }
}
