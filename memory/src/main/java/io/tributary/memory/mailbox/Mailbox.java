// SPDX-License-Identifier: Apache-2.0

package io.tributary.memory.mailbox;

import io.tributary.memory.mailbox.Descriptor.Kind;
import io.tributary.memory.peer.Door;
import io.tributary.protocol.RejectedException;
import java.io.IOException;
import java.net.ConnectException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.StandardProtocolFamily;
import java.net.StandardSocketOptions;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.nio.file.Path;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import java.util.UUID;
import java.util.function.Consumer;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * One endpoint's connection to the node agent, under one or more ids. It connects by itself, again
 * and again, and without an agent it is silent: its user looks at the directory now and then
 * anyway. Thread-safe.
 */
public final class Mailbox implements AutoCloseable {

    /** The agent's port unless it is told another. */
    public static final int DEFAULT_PORT = 10105;

    private static final Logger LOG = LoggerFactory.getLogger(Mailbox.class);
    private static final long FIRST_PAUSE_MILLIS = 50;
    private static final long LONGEST_PAUSE_MILLIS = 2000;
    private static final int READ_BYTES = 64 * DescriptorLayout.BYTES;

    /** The agent and the kernel let an endpoint have many times more unread. */
    private static final int READ_REPORT = 64;

    private final Path directory;
    private final InetSocketAddress agent;
    private final Consumer<Descriptor> listener;
    private final Map<EndpointId, Integer> ids = Collections.synchronizedMap(new LinkedHashMap<>());
    private final Thread reader;
    private final Object sending = new Object();
    private volatile Optional<SocketChannel> channel = Optional.empty();
    private volatile Optional<UUID> token = Optional.empty();
    private volatile int welcomes;
    private boolean warned;
    private volatile boolean closed;

    private Mailbox(Path directory, int port, String name, Consumer<Descriptor> listener) {
        this.agent = new InetSocketAddress(InetAddress.getLoopbackAddress(), port);
        this.directory = directory;
        this.listener = listener;
        this.reader = new Thread(this::keepReading, "mailbox-" + name);
        reader.setDaemon(true);
    }

    /**
     * Opens a mailbox.
     *
     * @param directory the region directory, which is the agent's too
     * @param port the agent's
     * @param name for people
     * @param listener called on the mailbox's own thread for each descriptor, and with WELCOME each
     *     time the connection is made: what was rung before may have been missed
     */
    public static Mailbox open(
            Path directory, int port, String name, Consumer<Descriptor> listener) {
        Mailbox mailbox = new Mailbox(directory, port, name, listener);
        mailbox.reader.start();
        return mailbox;
    }

    /** Takes descriptors for {@code id} from now on. */
    public void listen(EndpointId id) {
        listen(id, 0);
    }

    /**
     * The same for an endpoint of this host alone: descriptors from other hosts do not come, and
     * others may have one of that id.
     */
    public void listenHere(EndpointId id) {
        listen(id, Descriptor.THIS_HOST);
    }

    private void listen(EndpointId id, int code) {
        ids.put(id, code);
        channel.ifPresent(c -> hello(c, id, code));
    }

    /** Whether the agent has welcomed this mailbox on its present connection. */
    public boolean connected() {
        return channel.isPresent() && welcomes > 0;
    }

    /**
     * Rings.
     *
     * @return whether the descriptor has left; it may still be lost
     */
    public boolean send(Descriptor descriptor) {
        return channel.filter(c -> write(c, descriptor)).isPresent();
    }

    private boolean write(SocketChannel to, Descriptor descriptor) {
        ByteBuffer bytes = descriptor.encode();
        try {
            // One descriptor in one send, which is what the kernel's program looks at.
            synchronized (sending) {
                while (bytes.hasRemaining()) {
                    to.write(bytes);
                }
            }
            return true;
        } catch (IOException e) {
            // Whatever broke it, a new connection mends it; the reader sees the end of this one.
            close(to);
            return false;
        }
    }

    private void hello(SocketChannel to, EndpointId id, int code) {
        write(to, new Descriptor(Kind.HELLO, code, EndpointId.NONE, id, 0, token));
    }

    private void keepReading() {
        long pause = FIRST_PAUSE_MILLIS;
        while (!closed) {
            try (SocketChannel connected = SocketChannel.open(StandardProtocolFamily.INET)) {
                token = Optional.of(Door.enter(directory, agent.getPort()));
                connected.setOption(StandardSocketOptions.TCP_NODELAY, true);
                connected.connect(agent);
                welcomes = 0;
                // Nothing may be rung before it is said who rings.
                synchronized (sending) {
                    channel = Optional.of(connected);
                    ids.forEach((id, code) -> hello(connected, id, code));
                }
                read(connected);
                pause = FIRST_PAUSE_MILLIS;
            } catch (ConnectException e) {
                unreachable(e);
                pause = Math.min(2 * pause, LONGEST_PAUSE_MILLIS);
            } catch (IOException e) {
                LOG.debug("no connection to the agent at {}: {}", agent, e.getMessage());
                pause = Math.min(2 * pause, LONGEST_PAUSE_MILLIS);
            } catch (RejectedException e) {
                LOG.warn("the agent at {}: {}", agent, e.getMessage());
                pause = LONGEST_PAUSE_MILLIS;
            } finally {
                channel = Optional.empty();
            }
            sleep(pause);
        }
    }

    /** Its door has just opened. */
    private void unreachable(ConnectException e) {
        if (!warned) {
            warned = true;
            LOG.warn(
                    "the agent's door in {} opens, and nobody is at {} ({}): is this another network namespace, such as a container's? Without the agent all takes a few seconds longer",
                    directory,
                    agent,
                    e.getMessage());
        }
    }

    private void read(SocketChannel from) throws IOException {
        ByteBuffer bytes = ByteBuffer.allocateDirect(READ_BYTES);
        long read = 0;
        long reported = 0;
        while (from.read(bytes) >= 0) {
            int whole = bytes.position() - bytes.position() % DescriptorLayout.BYTES;
            for (int at = 0; at < whole; at += DescriptorLayout.BYTES) {
                Descriptor descriptor = Descriptor.decode(bytes, at);
                if (descriptor.kind().peer()) {
                    read++;
                }
                take(descriptor);
            }
            bytes.flip().position(whole);
            bytes.compact();
            if (read - reported >= READ_REPORT) {
                reported = read;
                write(
                        from,
                        new Descriptor(
                                Kind.READ,
                                0,
                                EndpointId.NONE,
                                EndpointId.NONE,
                                read,
                                Optional.empty()));
            }
        }
    }

    private void take(Descriptor descriptor) throws IOException {
        if (descriptor.kind() == Kind.REJECTED) {
            throw new IOException("rejected: %s".formatted(Rejection.of(descriptor.code()).text()));
        }
        if (descriptor.kind() == Kind.WELCOME) {
            welcomes++;
        }
        listener.accept(descriptor);
    }

    private void sleep(long millis) {
        try {
            if (!closed) {
                Thread.sleep(millis);
            }
        } catch (InterruptedException e) {
            // Closed: the loop ends.
        }
    }

    private static void close(SocketChannel channel) {
        try {
            channel.close();
        } catch (IOException ignored) {
            // It is gone, which is what is wanted.
        }
    }

    @Override
    public void close() {
        closed = true;
        channel.ifPresent(Mailbox::close);
        reader.interrupt();
    }
}
