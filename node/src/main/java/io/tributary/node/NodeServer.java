// SPDX-License-Identifier: Apache-2.0

package io.tributary.node;

import io.tributary.protocol.RejectedException;
import java.io.EOFException;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.channels.AsynchronousCloseException;
import java.nio.channels.ClosedChannelException;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Listens, and has a thread for each connection: so many for each who is known, and few for all who
 * are not. Who finds no place is turned away at once, so nobody waits behind those who only wait.
 */
final class NodeServer implements AutoCloseable {

    private static final Logger LOG = LoggerFactory.getLogger(NodeServer.class);
    private static final int MAX_OF_ONE = 512;
    private static final int MAX_OF_STRANGERS = 64;
    private static final int BACKLOG = 1024;
    private static final long PAUSE_MILLIS = 100;

    private final ServerSocketChannel server;
    private final Set<NodeChannel> open = ConcurrentHashMap.newKeySet();
    private final Visitors visitors = new Visitors(MAX_OF_ONE, MAX_OF_STRANGERS);
    private final Sight sight;
    private final CountDownLatch closed = new CountDownLatch(1);

    /** Who seems to come, before anything is read; it decides whose place is taken. */
    @FunctionalInterface
    interface Sight {
        Optional<String> who(NodeChannel channel) throws IOException;
    }

    /** What is done with a connection, until it ends. */
    @FunctionalInterface
    interface Service {
        void serve(NodeChannel channel) throws IOException;
    }

    /**
     * @param sight who is known by more than what is said
     */
    NodeServer(InetSocketAddress address, Sight sight) throws IOException {
        this.sight = sight;
        server = ServerSocketChannel.open();
        try {
            server.bind(address, BACKLOG);
        } catch (IOException e) {
            server.close();
            throw new IOException(
                    "%s:%d cannot be listened on: %s"
                            .formatted(address.getHostString(), address.getPort(), e.getMessage()),
                    e);
        }
    }

    /**
     * Begins to listen.
     *
     * @param failure told when it cannot go on
     */
    void start(Service service, Consumer<Throwable> failure) {
        Thread thread = new Thread(() -> accept(service, failure), "node-accept");
        thread.setDaemon(true);
        thread.start();
    }

    private void accept(Service service, Consumer<Throwable> failure) {
        try {
            while (server.isOpen()) {
                accept(service);
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        } catch (RuntimeException | Error e) {
            failure.accept(e);
        }
    }

    private void accept(Service service) throws InterruptedException {
        try {
            SocketChannel accepted = server.accept();
            try {
                admit(service, new NodeChannel(accepted));
            } catch (IOException e) {
                accepted.close();
                throw e;
            }
        } catch (ClosedChannelException expected) {
            // This server goes.
        } catch (IOException e) {
            LOG.warn("a connection could not be accepted: {}", e.getMessage());
            // There may be no free descriptor; clients that wait are served when there is one.
            closed.await(PAUSE_MILLIS, TimeUnit.MILLISECONDS);
        }
    }

    private void admit(Service service, NodeChannel channel) {
        Optional<String> who = Optional.empty();
        try {
            who = sight.who(channel);
        } catch (IOException e) {
            LOG.debug("{}: {}", channel.peer(), e.getMessage());
        }
        if (!visitors.admit(who)) {
            LOG.debug("{}: there is no place for it", channel.peer());
            channel.close();
            return;
        }
        channel.from(who);
        open.add(channel);
        Thread thread = new Thread(() -> serve(service, channel), "node-connection");
        thread.setDaemon(true);
        thread.start();
    }

    /**
     * A stranger has shown who it is.
     *
     * @throws NodeRejectedException where it has too many connections already
     */
    void recognise(NodeChannel channel, String who) throws NodeRejectedException {
        Optional<String> known = Optional.of(who);
        if (!visitors.admit(known)) {
            throw new NodeRejectedException(
                    "expected at most %d connections of one node".formatted(MAX_OF_ONE));
        }
        visitors.gone(channel.from());
        channel.from(known);
    }

    private void serve(Service service, NodeChannel channel) {
        try (channel) {
            service.serve(channel);
        } catch (EOFException | AsynchronousCloseException expected) {
            // The other end has gone, or this one goes.
        } catch (NodeRejectedException | RejectedException e) {
            LOG.info("{}: {}", channel.peer(), e.getMessage());
        } catch (IOException e) {
            LOG.debug("{}: {}", channel.peer(), e.getMessage());
        } finally {
            open.remove(channel);
            visitors.gone(channel.from());
        }
    }

    int port() throws IOException {
        return ((InetSocketAddress) server.getLocalAddress()).getPort();
    }

    @Override
    public void close() throws IOException {
        closed.countDown();
        server.close();
        open.forEach(NodeChannel::close);
    }
}
