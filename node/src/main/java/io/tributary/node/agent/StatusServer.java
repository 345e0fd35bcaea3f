// SPDX-License-Identifier: Apache-2.0

package io.tributary.node.agent;

import io.tributary.memory.peer.PeerProcess;
import io.tributary.node.Visitors;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.ClosedChannelException;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.ScheduledFuture;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import java.util.function.Supplier;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Serves pages on the loopback to every user of the host, one request a connection. Each user has
 * so many places, each for a few seconds, because the server of the JDK keeps a connection that
 * says nothing for ever. Thread-safe.
 */
final class StatusServer implements AutoCloseable {

    private static final Logger LOG = LoggerFactory.getLogger(StatusServer.class);
    private static final int MAX_OF_A_USER = 64;
    private static final int BACKLOG = 256;
    private static final int MAX_REQUEST_BYTES = 8192;
    private static final Duration DEADLINE = Duration.ofSeconds(5);
    private static final long PAUSE_MILLIS = 100;

    private final ServerSocketChannel server;
    private final Map<String, Supplier<String>> pages;
    private final Visitors visitors = new Visitors(MAX_OF_A_USER, MAX_OF_A_USER);
    private volatile Optional<Thread> acceptor = Optional.empty();
    private final CountDownLatch closed = new CountDownLatch(1);
    private final ScheduledExecutorService deadlines =
            Executors.newSingleThreadScheduledExecutor(
                    run -> {
                        Thread thread = new Thread(run, "status-deadlines");
                        thread.setDaemon(true);
                        return thread;
                    });

    /**
     * @param pages plain text, by path
     */
    StatusServer(int port, Map<String, Supplier<String>> pages) throws IOException {
        this.pages = pages;
        this.server = ServerSocketChannel.open();
        try {
            server.bind(new InetSocketAddress(InetAddress.getLoopbackAddress(), port), BACKLOG);
        } catch (IOException e) {
            close();
            throw e;
        }
    }

    /**
     * Begins to serve.
     *
     * @param failure told when it cannot go on
     */
    void start(Consumer<Throwable> failure) {
        acceptor = Optional.of(thread("status", () -> accept(failure)));
    }

    private static Thread thread(String name, Runnable run) {
        Thread thread = new Thread(run, name);
        thread.setDaemon(true);
        thread.start();
        return thread;
    }

    private void accept(Consumer<Throwable> failure) {
        try {
            while (server.isOpen()) {
                accept();
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        } catch (RuntimeException | Error e) {
            failure.accept(e);
        }
    }

    private void accept() throws InterruptedException {
        try {
            SocketChannel channel = server.accept();
            try {
                admit(channel);
            } catch (IOException e) {
                channel.close();
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

    private void admit(SocketChannel channel) throws IOException {
        Optional<String> user =
                PeerProcess.find(channel).map(PeerProcess::user).map(Object::toString);
        if (user.isEmpty() || !visitors.admit(user)) {
            channel.close();
            return;
        }
        thread("status-connection", () -> serve(channel, user));
    }

    private void serve(SocketChannel channel, Optional<String> user) {
        ScheduledFuture<?> deadline =
                deadlines.schedule(
                        () -> close(channel), DEADLINE.toMillis(), TimeUnit.MILLISECONDS);
        try (channel) {
            String answer = answer(request(channel));
            ByteBuffer bytes = ByteBuffer.wrap(answer.getBytes(StandardCharsets.UTF_8));
            while (bytes.hasRemaining()) {
                channel.write(bytes);
            }
        } catch (IOException e) {
            LOG.debug("a page was not served: {}", e.getMessage());
        } finally {
            deadline.cancel(false);
            visitors.gone(user);
        }
    }

    private static void close(SocketChannel channel) {
        try {
            channel.close();
        } catch (IOException ignored) {
            // It is gone, which is what is wanted.
        }
    }

    /** The request line; what follows it makes no difference. */
    private static String request(SocketChannel channel) throws IOException {
        ByteBuffer bytes = ByteBuffer.allocate(MAX_REQUEST_BYTES);
        String request = "";
        while (!request.contains("\r\n\r\n") && bytes.hasRemaining()) {
            if (channel.read(bytes) < 0) {
                throw new IOException("the request broke off");
            }
            request = new String(bytes.array(), 0, bytes.position(), StandardCharsets.US_ASCII);
        }
        return request.lines().findFirst().orElse("");
    }

    private String answer(String request) {
        String[] words = request.split(" ");
        if (words.length != 3 || !words[0].equals("GET")) {
            return page("400 Bad Request", "expected GET and a path\n");
        }
        Supplier<String> page = pages.get(words[1].split("\\?", 2)[0]);
        if (page == null) {
            return page("404 Not Found", "expected one of %s\n".formatted(pages.keySet()));
        }
        try {
            return page("200 OK", page.get());
        } catch (UncheckedIOException e) {
            return page("500 Internal Server Error", e.getMessage() + "\n");
        }
    }

    private static String page(String status, String body) {
        return "HTTP/1.1 %s\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s"
                .formatted(status, body.getBytes(StandardCharsets.UTF_8).length, body);
    }

    @Override
    public void close() {
        closed.countDown();
        deadlines.shutdownNow();
        try {
            server.close();
            if (acceptor.isPresent() && acceptor.get() != Thread.currentThread()) {
                // Only then may the next one have the port.
                acceptor.get().join();
            }
        } catch (IOException e) {
            LOG.warn("while closing: {}", e.getMessage());
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }
}
