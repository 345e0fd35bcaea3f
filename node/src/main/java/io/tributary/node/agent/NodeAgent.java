// SPDX-License-Identifier: Apache-2.0

package io.tributary.node.agent;

import io.tributary.memory.mailbox.Descriptor;
import io.tributary.memory.mailbox.Descriptor.Kind;
import io.tributary.memory.mailbox.EndpointId;
import io.tributary.memory.mailbox.Rejection;
import io.tributary.memory.peer.Door;
import io.tributary.memory.peer.PeerProcess;
import io.tributary.memory.region.TrustedDirectory;
import io.tributary.node.Exchange;
import io.tributary.node.Node;
import io.tributary.node.agent.AgentOptions.Bpf;
import io.tributary.protocol.RejectedException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.StandardProtocolFamily;
import java.net.StandardSocketOptions;
import java.nio.channels.CancelledKeyException;
import java.nio.channels.ClosedSelectorException;
import java.nio.channels.SelectionKey;
import java.nio.channels.Selector;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.time.Duration;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.stream.Collectors;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The agent of one host. Endpoints connect and say who they are; descriptors from one to another
 * stay in the kernel where its eBPF program can see to it, and are relayed here where it cannot.
 * One thread does it all.
 */
public final class NodeAgent implements Exchange, AutoCloseable {

    private static final Logger LOG = LoggerFactory.getLogger(NodeAgent.class);
    private static final int MAX_IDS = 256;
    private static final int BACKLOG = 1024;
    private static final Duration LOOK_EVERY = Duration.ofSeconds(1);

    private final AgentOptions options;
    private final Optional<BpfMailbox> bpf;
    private final String mode;
    private final Selector selector;
    private final ServerSocketChannel server;
    private final Endpoints endpoints;
    private final AgentMetrics metrics;
    private final Reaper reaper;
    private Optional<Door> door = Optional.empty();
    private Reception reception;
    private final CountDownLatch ended = new CountDownLatch(1);
    private final Thread thread;
    private volatile boolean failed;
    private volatile Optional<Node> node = Optional.empty();
    private final AtomicBoolean closed = new AtomicBoolean();
    private SelectionKey accepting;
    private long rejectedAt;

    private NodeAgent(AgentOptions options, Optional<BpfMailbox> bpf, String mode)
            throws IOException {
        this.options = options;
        this.bpf = bpf;
        this.mode = mode;
        this.selector = Selector.open();
        this.server = ServerSocketChannel.open(StandardProtocolFamily.INET);
        this.endpoints = new Endpoints(bpf);
        this.metrics = new AgentMetrics(options, mode, endpoints);
        this.reaper = new Reaper(options.directory(), metrics, this::failed);
        this.thread = new Thread(this::run, "agent");
        InetAddress loopback = InetAddress.getLoopbackAddress();
        try {
            server.setOption(StandardSocketOptions.SO_REUSEADDR, true);
            server.bind(new InetSocketAddress(loopback, options.port()), BACKLOG);
            server.configureBlocking(false);
            accepting = server.register(selector, SelectionKey.OP_ACCEPT);
            metrics.serve(this::failed);
        } catch (IOException e) {
            close();
            throw new AgentException(
                    "port %d or %d on the loopback cannot be used (%s); is another agent running?"
                            .formatted(options.port(), options.metricsPort(), e.getMessage()),
                    e);
        }
        try {
            TrustedDirectory.makeForAgent(options.directory().toAbsolutePath());
            door = Optional.of(Door.open(options.directory(), options.port(), this::failed));
            reception = new Reception(door.get());
        } catch (IOException e) {
            close();
            throw new AgentException("region directory: " + e.getMessage(), e);
        }
    }

    /**
     * Starts an agent.
     *
     * @throws AgentException when it cannot be as told
     */
    public static NodeAgent start(AgentOptions options) throws IOException {
        PeerProcess.requireSupport();
        Optional<BpfMailbox> bpf = Optional.empty();
        String mode = "relay in user space: eBPF is off";
        if (options.bpf() != Bpf.OFF) {
            try {
                bpf = Optional.of(loadBpf(options));
                mode =
                        bpf.get().ofHost()
                                ? "eBPF"
                                : "eBPF for this container's processes, relay for all others: its cgroup namespace is its own, the host's is wanted (--cgroupns=host)";
            } catch (IOException e) {
                if (options.bpf() == Bpf.REQUIRE) {
                    throw new AgentException(
                            "eBPF is required and not possible: " + e.getMessage(), e);
                }
                mode = "relay in user space: " + e.getMessage();
            }
        }
        NodeAgent agent = new NodeAgent(options, bpf, mode);
        agent.thread.start();
        agent.reaper.start();
        LOG.info("agent on port {}, {}", options.port(), mode);
        return agent;
    }

    private static BpfMailbox loadBpf(AgentOptions options) throws IOException {
        String missing =
                BpfRequirements.check().stream()
                        .filter(r -> !r.met())
                        .map(r -> r.name() + ": " + r.found())
                        .collect(Collectors.joining("; "));
        if (!missing.isEmpty()) {
            throw new IOException(missing);
        }
        return BpfMailbox.load(options.port());
    }

    /** Descriptors for endpoints that are not here go by this node from now on, and come by it. */
    public void join(Node member) {
        member.connect(this);
        node = Optional.of(member);
    }

    @Override
    public Set<EndpointId> endpoints() {
        synchronized (endpoints) {
            return endpoints.shared();
        }
    }

    @Override
    public void deliver(Descriptor descriptor) {
        synchronized (endpoints) {
            endpoints.deliver(descriptor);
        }
        // What its socket did not take waits for the selector.
        selector.wakeup();
    }

    @Override
    public void evict(EndpointId id) {
        synchronized (endpoints) {
            endpoints.owner(id).ifPresent(connection -> reject(connection, Rejection.TAKEN));
        }
    }

    /** How descriptors go, for people. */
    public String mode() {
        return mode;
    }

    /** Whether descriptors stay in the kernel. */
    public boolean usesBpf() {
        return bpf.isPresent();
    }

    private void run() {
        try {
            while (selector.isOpen()) {
                selector.select(this::serve, LOOK_EVERY.toMillis());
                endSilent();
                acceptAgain();
            }
        } catch (ClosedSelectorException | CancelledKeyException expected) {
            // The agent has been closed.
        } catch (IOException | RuntimeException | Error e) {
            failed(e);
        } finally {
            ended.countDown();
        }
    }

    /** The operator must see it: an agent without one of its threads hears nothing. */
    @Override
    public void failed(Throwable e) {
        LOG.error("the agent ends", e);
        failed = true;
        close();
    }

    /**
     * Waits until the agent has ended.
     *
     * @return whether that was by {@link #close}
     */
    public boolean await() throws InterruptedException {
        ended.await();
        return !failed;
    }

    private void serve(SelectionKey key) {
        synchronized (endpoints) {
            if (!key.isValid()) {
                // Another thread has just ended this connection.
                return;
            }
            if (key.isAcceptable()) {
                accept();
                return;
            }
            Connection connection = (Connection) key.attachment();
            try {
                if (key.isWritable()) {
                    connection.flush();
                }
                if (key.isReadable() && !connection.receive(d -> take(connection, d))) {
                    end(connection);
                }
            } catch (RejectedException e) {
                LOG.info("port {}: {}", connection.port(), e.getMessage());
                reject(connection, Rejection.MALFORMED);
            } catch (IOException e) {
                end(connection);
            } catch (UncheckedIOException e) {
                LOG.warn("port {}: {}", connection.port(), e.getMessage());
                end(connection);
            }
        }
    }

    private void accept() {
        try {
            for (SocketChannel channel = server.accept();
                    channel != null;
                    channel = server.accept()) {
                admit(channel);
            }
        } catch (IOException e) {
            LOG.warn("a connection could not be accepted: {}", e.getMessage());
            // No descriptor is free, say; the kernel would go on saying that somebody waits.
            accepting.interestOps(0);
            rejectedAt = System.nanoTime();
        }
    }

    private void acceptAgain() {
        if (accepting.interestOps() == 0
                && System.nanoTime() - rejectedAt >= LOOK_EVERY.toNanos()) {
            accepting.interestOps(SelectionKey.OP_ACCEPT);
        }
    }

    private void admit(SocketChannel channel) throws IOException {
        Optional<Reception.Guest> guest = reception.admit(channel);
        if (guest.isEmpty()) {
            channel.close();
            return;
        }
        try {
            channel.configureBlocking(false);
            channel.setOption(StandardSocketOptions.TCP_NODELAY, true);
            SelectionKey key = channel.register(selector, SelectionKey.OP_READ);
            Connection connection =
                    new Connection(channel, key, channel.socket().getPort(), guest.get());
            key.attach(connection);
            reception.waits(connection);
        } catch (IOException e) {
            reception.turnedAway(guest.get());
            channel.close();
        }
    }

    private void endSilent() {
        synchronized (endpoints) {
            for (Optional<Connection> late = reception.late();
                    late.isPresent();
                    late = reception.late()) {
                end(late.get());
            }
        }
    }

    private void end(Connection connection) {
        reception.gone(connection);
        endpoints.remove(connection);
    }

    /**
     * @return false when the connection has been closed over it
     */
    private boolean take(Connection from, Descriptor descriptor) {
        try {
            if (descriptor.kind() == Kind.HELLO) {
                Optional<Rejection> rejection = hello(from, descriptor);
                rejection.ifPresent(r -> reject(from, r));
                return rejection.isEmpty();
            }
            if (from.ids().isEmpty()) {
                reject(from, Rejection.NO_HELLO);
                return false;
            }
            if (descriptor.kind() == Kind.READ) {
                endpoints.read(from, descriptor.number());
            } else if (descriptor.kind().peer()) {
                endpoints.relay(from, descriptor, d -> node.filter(n -> n.route(d)).isPresent());
            }
            return true;
        } catch (IOException e) {
            end(from);
            return false;
        }
    }

    private Optional<Rejection> hello(Connection from, Descriptor hello) throws IOException {
        EndpointId id = hello.from();
        if (from.visitor().isEmpty()) {
            reception.redeem(hello).ifPresent(from::visitor);
        }
        if (from.visitor().isEmpty()) {
            return Optional.of(Rejection.TOKEN);
        }
        if (from.ids().size() >= MAX_IDS || id.equals(EndpointId.NONE)) {
            return Optional.of(Rejection.MALFORMED);
        }
        boolean hereOnly = hello.code() == Descriptor.THIS_HOST;
        boolean elsewhere = !hereOnly && node.flatMap(n -> n.owner(id)).isPresent();
        if (elsewhere || !endpoints.add(from, id, hereOnly)) {
            return Optional.of(Rejection.TAKEN);
        }
        reception.greeted(from);
        from.send(new Descriptor(Kind.WELCOME, 0, id, EndpointId.NONE, 0, Optional.empty()));
        return Optional.empty();
    }

    private void reject(Connection connection, Rejection rejection) {
        metrics.rejected(rejection);
        try {
            connection.send(
                    new Descriptor(
                            Kind.REJECTED,
                            rejection.code(),
                            EndpointId.NONE,
                            EndpointId.NONE,
                            0,
                            Optional.empty()));
        } catch (IOException ignored) {
            // It does not want to know.
        }
        end(connection);
    }

    /** Detaches from the kernel and ends all connections. */
    @Override
    public void close() {
        if (!closed.compareAndSet(false, true)) {
            return;
        }
        // Before its port is free: the next agent on it has a door of the same name.
        door.ifPresent(Door::close);
        try {
            selector.close();
            server.close();
            if (thread != Thread.currentThread()) {
                thread.interrupt();
                thread.join();
            }
        } catch (IOException e) {
            LOG.warn("while closing: {}", e.getMessage());
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
        reaper.close();
        metrics.close();
        synchronized (endpoints) {
            endpoints.close();
        }
        bpf.ifPresent(BpfMailbox::close);
    }
}
