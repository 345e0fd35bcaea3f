// SPDX-License-Identifier: Apache-2.0

package io.tributary.shm.node;

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
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;

/**
 * A connection between two nodes: messages in JSON, each after its length in four bytes,
 * little-endian, and between them plain bytes. A connection on which nothing moves for {@link
 * #STALLED} while something should is closed. For one thread at a time.
 */
final class NodeChannel implements AutoCloseable {

    /** Longer than any pause of a living node, shorter than any patience. */
    static final Duration STALLED = Duration.ofSeconds(10);

    private static final int MAX_MESSAGE_BYTES = 1 << 20;
    private static final int CONNECT_MILLIS = 2000;

    private static final Set<NodeChannel> BUSY = ConcurrentHashMap.newKeySet();

    static {
        ScheduledExecutorService watch =
                Executors.newSingleThreadScheduledExecutor(
                        task -> {
                            Thread thread = new Thread(task, "node-channels");
                            thread.setDaemon(true);
                            return thread;
                        });
        watch.scheduleWithFixedDelay(
                () -> BUSY.forEach(NodeChannel::closeIfStalled), 1, 1, TimeUnit.SECONDS);
    }

    private final SocketChannel channel;
    private volatile long movedAt;

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

    private void closeIfStalled() {
        if (System.nanoTime() - movedAt > STALLED.toNanos()) {
            close();
        }
    }

    @FunctionalInterface
    private interface Move {
        long run() throws IOException;
    }

    /** Repeats a move of bytes until all have moved. */
    private void all(long bytes, Move move) throws IOException {
        movedAt = System.nanoTime();
        BUSY.add(this);
        try {
            long moved = 0;
            while (moved < bytes) {
                long step = move.run();
                if (step < 0) {
                    throw new EOFException("the other end closed the connection");
                }
                if (step > 0) {
                    movedAt = System.nanoTime();
                }
                moved += step;
            }
        } finally {
            BUSY.remove(this);
        }
    }

    void send(Object message) throws IOException {
        byte[] json = Json.encode(message);
        ByteBuffer frame =
                ByteBuffer.allocate(Integer.BYTES + json.length)
                        .order(ByteOrder.LITTLE_ENDIAN)
                        .putInt(json.length)
                        .put(json)
                        .flip();
        write(frame);
    }

    /** Waits for the next message as long as it takes; from its first byte on it must come. */
    <T> T receive(Class<T> type) throws IOException {
        ByteBuffer length = ByteBuffer.allocate(Integer.BYTES).order(ByteOrder.LITTLE_ENDIAN);
        if (channel.read(length) < 0) {
            throw new EOFException("the other end closed the connection");
        }
        read(length);
        int bytes = length.getInt(0);
        if (bytes < 0 || bytes > MAX_MESSAGE_BYTES) {
            throw new RejectedException(
                    RejectReason.MALFORMED,
                    "expected a message of at most %d bytes, got one of %d; is it a node that speaks?"
                            .formatted(MAX_MESSAGE_BYTES, bytes));
        }
        ByteBuffer json = ByteBuffer.allocate(bytes);
        read(json);
        return Json.decode(json.array(), type);
    }

    /** The same, and it must come soon. */
    <T> T receiveSoon(Class<T> type) throws IOException {
        movedAt = System.nanoTime();
        BUSY.add(this);
        try {
            return receive(type);
        } finally {
            BUSY.remove(this);
        }
    }

    /** Fills the rest of a buffer. */
    void read(ByteBuffer target) throws IOException {
        all(target.remaining(), () -> channel.read(target));
    }

    void write(ByteBuffer source) throws IOException {
        all(source.remaining(), () -> channel.write(source));
    }

    /** Sends part of a file without having its bytes in this process. */
    void write(FileChannel file, long position, long count) throws IOException {
        long[] sent = {0};
        all(
                count,
                () -> {
                    long step = file.transferTo(position + sent[0], count - sent[0], channel);
                    if (step == 0 && file.size() <= position + sent[0]) {
                        throw new EOFException("the region became shorter while it was sent");
                    }
                    sent[0] += step;
                    return step;
                });
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

    /** The other end's port. */
    int peerPort() throws IOException {
        return ((InetSocketAddress) channel.getRemoteAddress()).getPort();
    }

    @Override
    public void close() {
        try {
            channel.close();
        } catch (IOException ignored) {
            // It is as good as closed.
        }
    }
}
