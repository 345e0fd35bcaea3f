// SPDX-License-Identifier: Apache-2.0

package io.tributary.node;

import com.fasterxml.jackson.databind.JsonNode;
import io.tributary.node.NodeRequest.Asked;
import io.tributary.protocol.message.PayloadRef;
import io.tributary.protocol.message.RegionRef;
import java.io.IOException;
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
    private final RequestTable here;
    private final RequestTable forwarded;

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
        this.here = here();
        this.forwarded = forwarded();
    }

    /**
     * Serves it until it goes.
     *
     * @param user id of its user
     */
    void serve(int user, NodeChannel channel) throws IOException {
        try {
            boolean answersCalls = false;
            while (!answersCalls) {
                NodeRequest request = channel.receive(NodeRequest.class);
                boolean done =
                        (elsewhere(request) ? forwarded : here).serve(user, request, channel);
                answersCalls = done && request instanceof NodeRequest.Serve;
            }
        } finally {
            held.values().forEach(copies -> copies.forEach(remote::abandon));
        }
    }

    private boolean elsewhere(NodeRequest request) {
        return request instanceof NodeRequest.Addressed addressed && !addressed.node().equals(node);
    }

    private RequestTable here() {
        RequestTable table = new RequestTable("processes");
        handler.enter(table);
        return table.answer(NodeRequest.Fetch.class, (user, r) -> fetch(user, r.ref()))
                .answer(NodeRequest.Release.class, (user, r) -> release(r.ref()))
                .answer(NodeRequest.Members.class, (user, r) -> membership.all())
                .run(
                        NodeRequest.Serve.class,
                        (user, r, channel) ->
                                handler.endpoints().serve(user, r.endpoint(), channel));
    }

    /** What another node does; what only reads may be asked twice. */
    private RequestTable forwarded() {
        return new RequestTable("other nodes")
                .answer(NodeRequest.Listing.class, this::forwardAgain)
                .answer(NodeRequest.Find.class, this::forwardAgain)
                .answer(NodeRequest.Allocate.class, this::forward)
                .answer(NodeRequest.Free.class, this::forward)
                .answer(NodeRequest.GiveBack.class, this::forward)
                .answer(NodeRequest.Grant.class, this::forward)
                .answer(NodeRequest.Add.class, this::forward)
                .answer(NodeRequest.Barrier.class, this::forward)
                .answer(NodeRequest.Call.class, this::forward)
                .run(NodeRequest.Write.class, (user, r, channel) -> relay(user, r, channel));
    }

    private List<Object> release(RegionRef ref) {
        Optional.ofNullable(held.getOrDefault(ref, new ArrayDeque<>()).poll())
                .ifPresent(remote::release);
        return List.of();
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
        return forward(user, request, ask -> connections.useFresh(request.node(), ask));
    }

    private JsonNode forwardAgain(int user, NodeRequest.Addressed request) throws IOException {
        return forward(user, request, ask -> connections.use(request.node(), ask));
    }

    /** By which connection another node is asked. */
    @FunctionalInterface
    private interface Way {
        JsonNode ask(NodeConnectionPool.Use<JsonNode> use) throws IOException;
    }

    private static JsonNode forward(int user, NodeRequest.Addressed request, Way way)
            throws IOException {
        try {
            return way.ask(
                    channel -> {
                        channel.send(new Asked(user, request));
                        // A barrier takes its time; should the node be lost, the connection ends.
                        return channel.receive(NodeAnswer.class).as(JsonNode.class);
                    });
        } catch (NodeRejectedException e) {
            throw e;
        } catch (IOException e) {
            throw new NodeRejectedException(
                    "node %s does not answer: %s".formatted(request.node(), e.getMessage()));
        }
    }

    private void relay(int user, NodeRequest.Write write, NodeChannel channel) throws IOException {
        RegionRef ref = write.ref();
        connections.useFresh(
                ref.node(),
                there -> {
                    there.send(new Asked(user, write));
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
