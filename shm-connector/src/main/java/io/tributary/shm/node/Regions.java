// SPDX-License-Identifier: Apache-2.0

package io.tributary.shm.node;

import io.tributary.protocol.message.PayloadRef;
import io.tributary.protocol.message.RegionRef;
import io.tributary.shm.region.MappedFile;
import io.tributary.shm.region.RegionMappings;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.IntStream;

/**
 * Regions of all nodes, by this host's node. What lies here is mapped where it lies; of what lies
 * elsewhere this node has a copy at hand, in which is what was asked for. Thread-safe.
 */
public final class Regions implements AutoCloseable {

    /** Requests under way at a time; more wait. */
    private static final int CONNECTIONS = 8;

    private final List<Connection> connections;
    private final AtomicInteger next = new AtomicInteger();

    private Regions(InetSocketAddress address) {
        this.connections =
                IntStream.range(0, CONNECTIONS).mapToObj(i -> new Connection(address)).toList();
    }

    /** By the node that listens on this port of the loopback; it need not be there yet. */
    public static Regions by(int localPort) {
        return new Regions(new InetSocketAddress(InetAddress.getLoopbackAddress(), localPort));
    }

    /** Made when it is first used, and anew after it broke; one request at a time. */
    private static final class Connection {

        private final InetSocketAddress address;
        private Optional<NodeChannel> channel = Optional.empty();

        Connection(InetSocketAddress address) {
            this.address = address;
        }

        synchronized <T> T ask(NodeRequest request, Class<T> type) throws IOException {
            NodeChannel open = channel.isPresent() ? channel.get() : connect();
            channel = Optional.of(open);
            try {
                open.send(request);
                return open.receive(NodeAnswer.class).as(type);
            } catch (NodeRefusedException e) {
                throw e;
            } catch (IOException | RuntimeException e) {
                close();
                throw e;
            }
        }

        private NodeChannel connect() throws IOException {
            try {
                return NodeChannel.connect(address);
            } catch (IOException e) {
                throw new IOException(
                        "no node on port %d of this host (%s); start one with ./tributary agent --node NAME"
                                .formatted(address.getPort(), e.getMessage()),
                        e);
            }
        }

        synchronized void close() {
            channel.ifPresent(NodeChannel::close);
            channel = Optional.empty();
        }
    }

    /**
     * A region that is mapped. To be closed; its memory must not be used after that.
     *
     * <p>Of a region elsewhere, only what was asked for is in it, at its place.
     */
    public final class Open implements AutoCloseable {

        private final RegionRef ref;
        private final Connection connection;
        private final PayloadRef payload;
        private final MappedFile mapped;

        private Open(RegionRef ref, Connection connection, PayloadRef payload) {
            this.ref = ref;
            this.connection = connection;
            this.payload = payload;
            this.mapped = RegionMappings.acquire(payload);
        }

        /** All of the region's payload, by its own offsets. */
        public MappedFile memory() {
            return mapped;
        }

        /** Where it lies on this host. */
        public PayloadRef payload() {
            return payload;
        }

        @Override
        public void close() {
            mapped.close();
            release(connection, ref);
        }
    }

    private static void release(Connection connection, RegionRef ref) {
        try {
            connection.ask(new NodeRequest.Release(ref), List.class);
        } catch (IOException expected) {
            // Its node releases it with the connection.
        }
    }

    /**
     * Maps a range of a region, wherever it lies.
     *
     * @throws NodeRefusedException with the reason: no such node, node lost, no such region, in
     *     another tenure, a range beyond its end, changed while it was read
     * @throws IOException when this host's node cannot be reached
     */
    public Open open(RegionRef ref) throws IOException {
        Connection connection = connection();
        PayloadRef payload = connection.ask(new NodeRequest.Fetch(ref), PayloadRef.class);
        try {
            return new Open(ref, connection, payload);
        } catch (RuntimeException e) {
            release(connection, ref);
            throw e;
        }
    }

    /** The region of a name. */
    public RegionInfo find(String node, String name) throws IOException {
        return ask(new NodeRequest.Find(node, name), RegionInfo.class);
    }

    /** All regions of a node whose names begin so. */
    public List<RegionInfo> list(String node, String prefix) throws IOException {
        return List.of(ask(new NodeRequest.Listing(node, prefix), RegionInfo[].class));
    }

    /** All nodes, this host's first. */
    public List<MemberStatus> members() throws IOException {
        return List.of(ask(new NodeRequest.Members(), MemberStatus[].class));
    }

    private <T> T ask(NodeRequest request, Class<T> type) throws IOException {
        return connection().ask(request, type);
    }

    private Connection connection() {
        return connections.get(Math.floorMod(next.getAndIncrement(), CONNECTIONS));
    }

    @Override
    public void close() {
        connections.forEach(Connection::close);
    }
}
