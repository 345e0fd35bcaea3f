// SPDX-License-Identifier: Apache-2.0

package io.tributary.shm.node;

import io.tributary.protocol.RejectedException;
import java.io.EOFException;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.channels.AsynchronousCloseException;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Semaphore;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Listens, and has a thread for each connection, up to a bound; who comes then waits. */
final class NodeServer implements AutoCloseable {

    private static final Logger LOG = LoggerFactory.getLogger(NodeServer.class);
    private static final int MAX_CONNECTIONS = 512;
    private static final int BACKLOG = 1024;

    private final ServerSocketChannel server;
    private final Set<NodeChannel> open = ConcurrentHashMap.newKeySet();
    private final Semaphore room = new Semaphore(MAX_CONNECTIONS);

    /** What is done with a connection, until it ends. */
    @FunctionalInterface
    interface Service {
        void serve(NodeChannel channel) throws IOException;
    }

    NodeServer(InetSocketAddress address) throws IOException {
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

    void start(Service service) {
        Thread thread = new Thread(() -> accept(service), "node-accept");
        thread.setDaemon(true);
        thread.start();
    }

    private void accept(Service service) {
        while (server.isOpen()) {
            try {
                room.acquire();
                SocketChannel accepted = server.accept();
                NodeChannel channel = new NodeChannel(accepted);
                open.add(channel);
                Thread thread = new Thread(() -> serve(service, channel), "node-connection");
                thread.setDaemon(true);
                thread.start();
            } catch (AsynchronousCloseException e) {
                return;
            } catch (IOException e) {
                room.release();
                LOG.warn("a connection could not be accepted: {}", e.getMessage());
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
                return;
            }
        }
    }

    private void serve(Service service, NodeChannel channel) {
        try (channel) {
            service.serve(channel);
        } catch (EOFException | AsynchronousCloseException expected) {
            // The other end has gone, or this one goes.
        } catch (NodeRefusedException | RejectedException e) {
            LOG.info("{}: {}", channel.peer(), e.getMessage());
        } catch (IOException e) {
            LOG.debug("{}: {}", channel.peer(), e.getMessage());
        } finally {
            open.remove(channel);
            room.release();
        }
    }

    int port() throws IOException {
        return ((InetSocketAddress) server.getLocalAddress()).getPort();
    }

    @Override
    public void close() throws IOException {
        server.close();
        open.forEach(NodeChannel::close);
    }
}
