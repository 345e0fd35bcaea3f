// SPDX-License-Identifier: Apache-2.0

package io.tributary.node;

import com.fasterxml.jackson.databind.JsonNode;
import io.tributary.node.NodeRequest.Asked;
import io.tributary.protocol.RejectedException;
import io.tributary.protocol.message.PayloadRef;
import io.tributary.protocol.message.RegionRef;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/** Serves one process of this host; what it has fetched is released when it goes. */
final class LocalService {

    private static final int RELAY_BYTES = 1 << 16;

    private final String node;
    private final ClusterMembership membership;
    private final NodeConnectionPool connections;
    private final NodeRequestHandler handler;
    private final RemoteRegions remote;
    private final Map<RegionRef, Deque<CachedRegion>> held = new HashMap<>();

    LocalService(
            String node,
            ClusterMembership membership,
            NodeConnectionPool connections,
            NodeRequestHandler handler,
            RemoteRegions remote) {
        this.node = node;
        this.membership = membership;
        this.connections = connections;
        this.handler = handler;
        this.remote = remote;
    }

    /**
     * Serves it until it goes.
     *
     * @param user id of its user
     */
    void serve(int user, NodeChannel channel) throws IOException {
        try {
            while (true) {
                NodeRequest request = channel.receive(NodeRequest.class);
                try {
                    if (request instanceof NodeRequest.Write write) {
                        write(user, write.ref(), channel);
                    } else if (request instanceof NodeRequest.Serve serve) {
                        handler.endpoints().serve(user, serve.endpoint(), channel);
                        return;
                    } else {
                        channel.send(NodeAnswer.of(answer(user, request)));
                    }
                } catch (NodeRejectedException | RejectedException | UncheckedIOException e) {
                    channel.send(NodeAnswer.rejected(e.getMessage()));
                }
            }
        } finally {
            held.values().forEach(copies -> copies.forEach(remote::abandon));
        }
    }

    private Object answer(int user, NodeRequest request) throws IOException {
        if (request instanceof NodeRequest.Fetch fetch) {
            return fetch(user, fetch.ref());
        }
        if (request instanceof NodeRequest.Release release) {
            Optional.ofNullable(held.getOrDefault(release.ref(), new ArrayDeque<>()).poll())
                    .ifPresent(remote::release);
            return List.of();
        }
        if (request instanceof NodeRequest.Members) {
            return membership.all();
        }
        if (request instanceof NodeRequest.Addressed addressed) {
            return addressed.node().equals(node)
                    ? handler.answer(user, addressed)
                    : forward(user, addressed);
        }
        throw new NodeRejectedException("%s is for nodes alone".formatted(request));
    }

    private PayloadRef fetch(int user, RegionRef ref) throws IOException {
        if (ref.node().equals(node)) {
            return handler.store().readable(user, ref);
        }
        try {
            RemoteRegions.Fetched fetched = remote.fetch(user, ref);
            held.computeIfAbsent(ref, key -> new ArrayDeque<>()).add(fetched.copy());
            return fetched.payload();
        } catch (NodeRejectedException e) {
            throw e;
        } catch (IOException e) {
            throw new NodeRejectedException(
                    "region %s on %s cannot be read: %s"
                            .formatted(ref.name(), ref.node(), e.getMessage()));
        }
    }

    private JsonNode forward(int user, NodeRequest.Addressed request) throws IOException {
        NodeConnectionPool.Use<JsonNode> ask =
                channel -> {
                    channel.send(new Asked(user, request));
                    // A barrier takes its time; should the node be lost, the connection ends.
                    return channel.receive(NodeAnswer.class).as(JsonNode.class);
                };
        boolean again =
                request instanceof NodeRequest.Find || request instanceof NodeRequest.Listing;
        try {
            return again
                    ? connections.use(request.node(), ask)
                    : connections.useFresh(request.node(), ask);
        } catch (NodeRejectedException e) {
            throw e;
        } catch (IOException e) {
            throw new NodeRejectedException(
                    "node %s does not answer: %s".formatted(request.node(), e.getMessage()));
        }
    }

    private void write(int user, RegionRef ref, NodeChannel channel) throws IOException {
        if (ref.node().equals(node)) {
            handler.store().write(user, ref, channel);
            return;
        }
        connections.useFresh(
                ref.node(),
                there -> {
                    there.send(new Asked(user, new NodeRequest.Write(ref)));
                    channel.send(
                            NodeAnswer.of(there.receiveSoon(NodeAnswer.class).as(RegionRef.class)));
                    ByteBuffer piece = ByteBuffer.allocateDirect(RELAY_BYTES);
                    for (RegionRef part : ref.pieces(RELAY_BYTES)) {
                        channel.read(piece.clear().limit((int) part.length()));
                        there.write(piece.flip());
                    }
                    channel.send(
                            NodeAnswer.of(there.receiveSoon(NodeAnswer.class).as(RegionRef.class)));
                    return null;
                });
    }
}
