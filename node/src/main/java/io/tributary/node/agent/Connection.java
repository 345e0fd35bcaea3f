// SPDX-License-Identifier: Apache-2.0

package io.tributary.node.agent;

import io.tributary.memory.mailbox.Descriptor;
import io.tributary.memory.mailbox.DescriptorLayout;
import io.tributary.memory.mailbox.EndpointId;
import io.tributary.memory.peer.Door;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.SelectionKey;
import java.nio.channels.SocketChannel;
import java.time.Duration;
import java.util.LinkedHashSet;
import java.util.Optional;
import java.util.Set;

/** One endpoint's socket at the agent. Belongs to the agent's thread. */
final class Connection {

    private static final int FRAMES = 64;

    private final SocketChannel channel;
    private final SelectionKey key;
    private final ByteBuffer in = ByteBuffer.allocateDirect(FRAMES * DescriptorLayout.BYTES);
    private final ByteBuffer out = ByteBuffer.allocateDirect(FRAMES * DescriptorLayout.BYTES);
    private final Set<EndpointId> ids = new LinkedHashSet<>();
    private final int port;
    private final Reception.Guest guest;
    private final long acceptedAt = System.nanoTime();
    private boolean inKernel;
    private long relayed;
    private long read;
    private boolean over;
    private Optional<Door.Visitor> visitor = Optional.empty();

    Connection(SocketChannel channel, SelectionKey key, int port, Reception.Guest guest) {
        this.channel = channel;
        this.key = key;
        this.port = port;
        this.guest = guest;
    }

    /** The endpoint's own port. */
    int port() {
        return port;
    }

    /** Whether the kernel's program has its socket. */
    boolean inKernel() {
        return inKernel;
    }

    void inKernel(boolean has) {
        inKernel = has;
    }

    /** How long it has been there. */
    Duration age() {
        return Duration.ofNanos(System.nanoTime() - acceptedAt);
    }

    Set<EndpointId> ids() {
        return ids;
    }

    /** The id that its descriptors come from. */
    Optional<EndpointId> primaryId() {
        return ids.stream().findFirst();
    }

    /** The peer, and the place it takes. */
    Reception.Guest guest() {
        return guest;
    }

    /** What the kernel knows its socket by. */
    long cookie() {
        return guest.process().cookie();
    }

    /** Whose process it is, once it has shown that. */
    Optional<Door.Visitor> visitor() {
        return visitor;
    }

    void visitor(Door.Visitor shown) {
        visitor = Optional.of(shown);
    }

    /** Descriptors that the agent has carried to it. */
    long relayed() {
        return relayed;
    }

    /** Descriptors that it says it has read. */
    long read() {
        return read;
    }

    void read(long count) {
        read = count;
    }

    /** What is done with a descriptor. */
    @FunctionalInterface
    interface Handler {
        /**
         * @return false to stop reading this connection, which has been closed
         */
        boolean take(Descriptor descriptor);
    }

    /**
     * Takes what has come.
     *
     * @return false when the connection has ended
     * @throws io.tributary.protocol.RejectedException on bytes that are no descriptor
     */
    boolean receive(Handler handler) throws IOException {
        if (channel.read(in) < 0) {
            return false;
        }
        int whole = in.position() - in.position() % DescriptorLayout.BYTES;
        for (int at = 0; at < whole; at += DescriptorLayout.BYTES) {
            if (!handler.take(Descriptor.decode(in, at))) {
                return true;
            }
        }
        in.flip().position(whole);
        in.compact();
        return true;
    }

    /**
     * Sends a descriptor of another endpoint.
     *
     * @return false when it has no room for it
     */
    boolean relay(Descriptor descriptor) throws IOException {
        boolean sent = send(descriptor);
        if (sent) {
            relayed++;
        }
        return sent;
    }

    /** The same for the agent's own. */
    boolean send(Descriptor descriptor) throws IOException {
        if (out.remaining() < DescriptorLayout.BYTES) {
            return false;
        }
        out.put(descriptor.encode());
        flush();
        return true;
    }

    /** Sends what waits, as far as the socket takes it. */
    void flush() throws IOException {
        out.flip();
        channel.write(out);
        out.compact();
        key.interestOps(
                out.position() == 0
                        ? SelectionKey.OP_READ
                        : SelectionKey.OP_READ | SelectionKey.OP_WRITE);
    }

    /**
     * It is over.
     *
     * @return false when it was before
     */
    boolean end() {
        boolean first = !over;
        over = true;
        return first;
    }

    void close() {
        key.cancel();
        try {
            channel.close();
        } catch (IOException ignored) {
            // It is gone, which is what is wanted.
        }
    }
}
