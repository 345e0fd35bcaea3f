// SPDX-License-Identifier: Apache-2.0

package io.tributary.node;

import io.tributary.memory.peer.Door;
import io.tributary.memory.region.MappedFile;
import io.tributary.memory.region.RegionMappings;
import io.tributary.protocol.message.PayloadRef;
import io.tributary.protocol.message.RegionRef;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.UUID;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.IntStream;

/**
 * Regions of all nodes, by this host's node. A region of this host is mapped as it is; of a region
 * that lies elsewhere this node has a copy at hand, in which is what was asked for. Thread-safe.
 */
public final class NodeClient implements AutoCloseable {

    /** Requests under way at a time; more wait. */
    private static final int CONNECTIONS = 8;

    private final Path directory;
    private final InetSocketAddress address;
    private final List<Connection> connections;
    private final AtomicInteger next = new AtomicInteger();

    private NodeClient(Path directory, InetSocketAddress address) {
        this.directory = directory;
        this.address = address;
        this.connections =
                IntStream.range(0, CONNECTIONS)
                        .mapToObj(i -> new Connection(directory, address))
                        .toList();
    }

    /**
     * By this host's node; it need not be there yet.
     *
     * @param directory its region directory
     * @param localPort where it listens on the loopback
     */
    public static NodeClient by(Path directory, int localPort) {
        return new NodeClient(
                directory, new InetSocketAddress(InetAddress.getLoopbackAddress(), localPort));
    }

    /** Made when it is first used, and anew after it broke; one request at a time. */
    private static final class Connection {

        private final Path directory;
        private final InetSocketAddress address;
        private Optional<NodeChannel> channel = Optional.empty();

        /** Answers that nobody waits for. */
        private int unread;

        Connection(Path directory, InetSocketAddress address) {
            this.directory = directory;
            this.address = address;
        }

        /** What may be asked twice is, where a connection that was kept has died unnoticed. */
        synchronized <T> T askAgain(NodeRequest request, Class<T> type) throws IOException {
            boolean kept = channel.isPresent();
            try {
                return ask(request, type);
            } catch (NodeRejectedException e) {
                throw e;
            } catch (IOException e) {
                if (!kept) {
                    throw e;
                }
                return ask(request, type);
            }
        }

        synchronized <T> T ask(NodeRequest request, Class<T> type) throws IOException {
            NodeChannel open = channel.isPresent() ? channel.get() : connect(directory, address);
            channel = Optional.of(open);
            try {
                open.send(request);
                for (; unread > 0; unread--) {
                    open.receive(NodeAnswer.class);
                }
                return open.receive(NodeAnswer.class).as(type);
            } catch (NodeRejectedException e) {
                throw e;
            } catch (IOException | RuntimeException e) {
                close();
                throw e;
            }
        }

        /** Asks for something whose answer makes no difference; it is read with the next one. */
        synchronized void tell(NodeRequest request) throws IOException {
            if (channel.isPresent()) {
                channel.get().send(request);
                unread++;
            }
        }

        synchronized RegionRef write(NodeRequest.Write request, ByteBuffer bytes)
                throws IOException {
            ask(request, RegionRef.class);
            NodeChannel open = channel.orElseThrow();
            try {
                open.write(bytes.duplicate());
                return open.receive(NodeAnswer.class).as(RegionRef.class);
            } catch (IOException | RuntimeException e) {
                // How much of it was taken is not known.
                close();
                throw e;
            }
        }

        synchronized void close() {
            channel.ifPresent(NodeChannel::close);
            channel = Optional.empty();
            unread = 0;
        }
    }

    private static NodeChannel connect(Path directory, InetSocketAddress address)
            throws IOException {
        try {
            return enter(directory, address);
        } catch (IOException first) {
            // On a host that is busy the first one may take longer than a token is good for.
        }
        try {
            return enter(directory, address);
        } catch (IOException e) {
            throw new NodeUnavailableException(
                    "no node on port %d of this host that has its regions in %s (%s); start one with ./tributary agent --node NAME, or give its agent's --port and --dir"
                            .formatted(address.getPort(), directory, e.getMessage()),
                    e);
        }
    }

    private static NodeChannel enter(Path directory, InetSocketAddress address) throws IOException {
        UUID token = Door.enter(directory, address.getPort());
        NodeChannel made = NodeChannel.connect(address);
        try {
            made.greeted();
            made.send(new NodeRequest.Enter(token));
            made.receiveSoon(NodeAnswer.class).as(String.class);
            return made;
        } catch (IOException | RuntimeException e) {
            made.close();
            throw e;
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
        private final AtomicBoolean closed = new AtomicBoolean();

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

        /**
         * To be called when the memory has been read: a region of this host may have been written
         * to meanwhile. A copy never changes.
         *
         * @throws NodeRejectedException when it is another by now
         */
        public void requireUnchanged() throws NodeRejectedException {
            if (RegionMappings.over(payload)) {
                throw new NodeRejectedException(
                        "region %s on %s: it changed while it was read"
                                .formatted(ref.name(), ref.node()));
            }
        }

        /** Where it lies on this host. */
        public PayloadRef payload() {
            return payload;
        }

        @Override
        public void close() {
            if (closed.compareAndSet(false, true)) {
                mapped.close();
                release(connection, ref);
            }
        }
    }

    private static void release(Connection connection, RegionRef ref) {
        try {
            connection.tell(new NodeRequest.Release(ref));
        } catch (IOException expected) {
            // Its node releases it with the connection.
            connection.close();
        }
    }

    /**
     * Maps a range of a region, wherever it lies.
     *
     * @throws NodeRejectedException with the reason: no such node, node lost, no such region, in
     *     another generation, a range beyond its end, changed while it was copied
     * @throws NodeUnavailableException when this host's node cannot be reached
     */
    public Open open(RegionRef ref) throws IOException {
        Connection connection = connection();
        PayloadRef payload = connection.askAgain(new NodeRequest.Fetch(ref), PayloadRef.class);
        try {
            return new Open(ref, connection, payload);
        } catch (RuntimeException e) {
            release(connection, ref);
            throw e;
        }
    }

    /** The region of a name. */
    public RegionInfo find(String node, String name) throws IOException {
        return connection().askAgain(new NodeRequest.Find(node, name), RegionInfo.class);
    }

    /** All regions of a node whose names begin so. */
    public List<RegionInfo> list(String node, String prefix) throws IOException {
        return List.of(
                connection().askAgain(new NodeRequest.Listing(node, prefix), RegionInfo[].class));
    }

    /** All nodes, this host's first. */
    public List<MemberStatus> members() throws IOException {
        return List.of(connection().askAgain(new NodeRequest.Members(), MemberStatus[].class));
    }

    /**
     * Makes a region of zeros, which belongs to this process's user, and is READY.
     *
     * @throws NodeRejectedException when there is one of that name, or no room
     */
    public RegionRef allocate(String node, String name, long length) throws IOException {
        return ask(new NodeRequest.Allocate(node, name, length), RegionInfo.class).ref();
    }

    /**
     * Writes the remaining bytes of a buffer over a range of the same length. A reader of the
     * region meanwhile is rejected.
     *
     * @return the range in the region's next generation
     * @throws NodeRejectedException when the region is in another generation, or belongs to another
     *     user
     */
    public RegionRef write(RegionRef range, ByteBuffer bytes) throws IOException {
        if (bytes.remaining() != range.length()) {
            throw new IllegalArgumentException(
                    "expected %d bytes for the range, got %d"
                            .formatted(range.length(), bytes.remaining()));
        }
        return connection().write(new NodeRequest.Write(range), bytes);
    }

    /** Deletes a region that belongs to this process's user, in this generation. */
    public void free(RegionRef ref) throws IOException {
        ask(new NodeRequest.Free(ref), List.class);
    }

    /**
     * Releases a region that belongs to this process's user, in this generation: its writer takes
     * it back; where nobody does it is deleted.
     */
    public void giveBack(RegionRef ref) throws IOException {
        ask(new NodeRequest.GiveBack(ref), List.class);
    }

    /** Lets another user's processes read a region that belongs to this process's user. */
    public void grant(RegionRef ref, int user) throws IOException {
        ask(new NodeRequest.Grant(ref, user, false), List.class);
    }

    /** The same for all users who are in a group on the region's host. */
    public void grantGroup(RegionRef ref, int group) throws IOException {
        ask(new NodeRequest.Grant(ref, group, true), List.class);
    }

    /** Adds to a node's counter, and returns what was in it before; a new one holds 0. */
    public long fetchAndAdd(String node, String counter, long delta) throws IOException {
        return ask(new NodeRequest.Add(node, counter, delta), Long.class);
    }

    /**
     * Waits until so many are at a node's barrier.
     *
     * @return which one this was, from 0 on
     * @throws NodeRejectedException when the others do not come within the patience
     */
    public int barrier(String node, String name, int parties, Duration patience)
            throws IOException {
        // On a connection of its own, which others need not wait for.
        Connection own = new Connection(directory, address);
        try {
            return own.ask(
                    new NodeRequest.Barrier(node, name, parties, patience.toMillis()),
                    Integer.class);
        } finally {
            own.close();
        }
    }

    /**
     * Calls an endpoint of a node.
     *
     * @param bytes at most 64 KiB
     * @return the answer, likewise
     * @throws NodeRejectedException when nobody answers there, or the answer is a rejection
     */
    public byte[] call(String node, String endpoint, byte[] bytes) throws IOException {
        return ask(new NodeRequest.Call(node, endpoint, bytes), byte[].class);
    }

    /** Answers calls. */
    @FunctionalInterface
    public interface Answerer {
        /**
         * @throws IllegalArgumentException with what the caller is to be told instead of an answer
         */
        byte[] answer(byte[] call);
    }

    /**
     * Answers calls of an endpoint of this host's node, in a thread, one at a time, until closed.
     *
     * @throws NodeRejectedException when another user's process answers there
     */
    public AutoCloseable serve(String endpoint, Answerer answerer) throws IOException {
        NodeChannel channel = connect(directory, address);
        try {
            channel.send(new NodeRequest.Serve(endpoint));
            channel.receive(NodeAnswer.class).as(String.class);
        } catch (IOException | RuntimeException e) {
            channel.close();
            throw e;
        }
        Thread thread = new Thread(() -> answer(channel, answerer), "endpoint-" + endpoint);
        thread.setDaemon(true);
        thread.start();
        return channel;
    }

    private static void answer(NodeChannel channel, Answerer answerer) {
        try (channel) {
            while (true) {
                byte[] call = channel.receive(EndpointRegistry.Called.class).bytes();
                try {
                    channel.send(NodeAnswer.of(answerer.answer(call)));
                } catch (IllegalArgumentException e) {
                    channel.send(NodeAnswer.rejected(e.getMessage()));
                }
            }
        } catch (IOException expected) {
            // It was closed, or its node has gone.
        }
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
