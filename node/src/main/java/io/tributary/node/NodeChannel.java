// SPDX-License-Identifier: Apache-2.0

package io.tributary.node;

import io.tributary.memory.peer.PeerProcess;
import io.tributary.protocol.Json;
import io.tributary.protocol.RejectReason;
import io.tributary.protocol.RejectedException;
import java.io.EOFException;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.StandardSocketOptions;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.channels.SocketChannel;
import java.time.Duration;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;

/**
 * A connection between two nodes: messages in JSON, each after its length in four bytes,
 * little-endian, and between them plain bytes. A connection on which nothing moves for {@link
 * #STALLED} while something should is closed, and so is one that has not shown who it is within
 * {@link #GREETING}. For one thread at a time.
 */
final class NodeChannel implements AutoCloseable {

    /** Longer than any pause of a living node, shorter than any patience. */
    static final Duration STALLED = Duration.ofSeconds(10);

    /** How long who connects may take to show who it is. */
    static final Duration GREETING = Duration.ofSeconds(5);

    /** How long a connection is kept that asks nothing. */
    static final Duration IDLE = Duration.ofSeconds(60);

    private static final int MAX_MESSAGE_BYTES = 1 << 20;

    /** Who is not known yet has not much to say. */
    private static final int MAX_GREETING_BYTES = 1 << 12;

    private static final int CONNECT_MILLIS = 2000;

    /** What is sent in one call, so that it shows when it moves. */
    private static final int STEP_BYTES = 1 << 17;

    private static final Set<NodeChannel> WATCHED = ConcurrentHashMap.newKeySet();

    static {
        ScheduledExecutorService watch =
                Executors.newSingleThreadScheduledExecutor(new DaemonThreads("node-channels"));
        watch.scheduleWithFixedDelay(
                () -> WATCHED.forEach(NodeChannel::closeIfLate), 1, 1, TimeUnit.SECONDS);
    }

    private final SocketChannel channel;
    private volatile boolean greeting = true;
    private volatile long greetingUntil = System.nanoTime() + GREETING.toNanos();
    private volatile long lateAt;
    private volatile Optional<String> from = Optional.empty();

    NodeChannel(SocketChannel channel) throws IOException {
        this.channel = channel;
        channel.setOption(StandardSocketOptions.TCP_NODELAY, true);
    }

    static NodeChannel connect(InetSocketAddress address) throws IOException {
        SocketChannel channel = SocketChannel.open();
        try {
            channel.socket().connect(address, CONNECT_MILLIS);
            return new NodeChannel(channel);
        } catch (IOException e) {
            channel.close();
            throw e;
        }
    }

    /** It has shown who it is. */
    void greeted() {
        greeting = false;
    }

    /** Whose it is, as far as that is known: a user of this host, or a node. */
    Optional<String> from() {
        return from;
    }

    void from(Optional<String> who) {
        from = who;
    }

    private void closeIfLate() {
        long now = System.nanoTime();
        if (now - lateAt > 0 || greeting && now - greetingUntil > 0) {
            close();
        }
    }

    @FunctionalInterface
    private interface Move {
        long run() throws IOException;
    }

    /** Repeats a move of bytes until all have moved. */
    private void all(long bytes, Duration patience, Move move) throws IOException {
        lateAt = System.nanoTime() + patience.toNanos();
        WATCHED.add(this);
        try {
            long moved = 0;
            while (moved < bytes) {
                long step = move.run();
                if (step < 0) {
                    throw new EOFException("the other end closed the connection");
                }
                if (step > 0) {
                    lateAt = System.nanoTime() + STALLED.toNanos();
                }
                moved += step;
            }
        } finally {
            WATCHED.remove(this);
        }
    }

    void send(Object message) throws IOException {
        byte[] json = Json.encode(message);
        if (json.length > MAX_MESSAGE_BYTES) {
            throw new NodeRejectedException(
                    "expected a message of at most %d bytes, it would have %d; ask for less at a time"
                            .formatted(MAX_MESSAGE_BYTES, json.length));
        }
        ByteBuffer frame =
                ByteBuffer.allocate(Integer.BYTES + json.length)
                        .order(ByteOrder.LITTLE_ENDIAN)
                        .putInt(json.length)
                        .put(json)
                        .flip();
        write(frame);
    }

    /** The next message, which must come soon. */
    <T> T receiveSoon(Class<T> type) throws IOException {
        return receive(type, STALLED);
    }

    /** The next message, however long it takes; from its first byte on it must come. */
    <T> T receive(Class<T> type) throws IOException {
        return receive(type, Duration.ofDays(365));
    }

    /**
     * The next message, if it begins to come in time; the connection is closed where it does not.
     */
    <T> T receive(Class<T> type, Duration patience) throws IOException {
        ByteBuffer length = ByteBuffer.allocate(Integer.BYTES).order(ByteOrder.LITTLE_ENDIAN);
        all(Integer.BYTES, patience, () -> channel.read(length));
        int bytes = length.getInt(0);
        int most = greeting ? MAX_GREETING_BYTES : MAX_MESSAGE_BYTES;
        if (bytes < 0 || bytes > most) {
            throw new RejectedException(
                    RejectReason.MALFORMED,
                    "expected a message of at most %d bytes, got one of %d; is it a node that speaks?"
                            .formatted(most, bytes));
        }
        ByteBuffer json = ByteBuffer.allocate(bytes);
        read(json);
        return Json.decode(json.array(), type);
    }

    /** Fills the rest of a buffer. */
    void read(ByteBuffer target) throws IOException {
        all(target.remaining(), STALLED, () -> channel.read(target));
    }

    void write(ByteBuffer source) throws IOException {
        all(source.remaining(), STALLED, () -> channel.write(source));
    }

    /** Sends part of a file without having its bytes in this process. */
    void write(FileChannel file, long position, long count) throws IOException {
        long[] sent = {0};
        all(
                count,
                STALLED,
                () -> {
                    long step =
                            file.transferTo(
                                    position + sent[0],
                                    Math.min(STEP_BYTES, count - sent[0]),
                                    channel);
                    if (step == 0 && file.size() <= position + sent[0]) {
                        throw new EOFException("the region became shorter while it was sent");
                    }
                    sent[0] += step;
                    return step;
                });
    }

    /** Whether the other end has gone, or speaks where it should not; nobody may be reading. */
    boolean ended() throws IOException {
        channel.configureBlocking(false);
        try {
            return channel.read(ByteBuffer.allocate(1)) != 0;
        } finally {
            channel.configureBlocking(true);
        }
    }

    /** The address of the other end. */
    String peer() {
        try {
            InetSocketAddress address = (InetSocketAddress) channel.getRemoteAddress();
            return address.getHostString() + ":" + address.getPort();
        } catch (IOException e) {
            return "a connection that is closed";
        }
    }

    /** Who is at the other end, on the loopback. */
    Optional<PeerProcess> process() throws IOException {
        return PeerProcess.find(channel);
    }

    @Override
    public void close() {
        try {
            // Unlike closing, this wakes a thread that is sending from a file.
            if (channel.isConnected()) {
                channel.shutdownInput();
                channel.shutdownOutput();
            }
        } catch (IOException ignored) {
            // It was not open in that direction any more.
        }
        try {
            channel.close();
        } catch (IOException ignored) {
            // It is as good as closed.
        }
    }
}
