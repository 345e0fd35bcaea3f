// SPDX-License-Identifier: Apache-2.0

package io.tributary.node;

import io.tributary.memory.guard.MemoryGuard;
import io.tributary.memory.mailbox.Descriptor;
import io.tributary.memory.mailbox.EndpointId;
import io.tributary.memory.peer.Door;
import io.tributary.memory.peer.PeerProcess;
import io.tributary.memory.region.RegionMappings;
import io.tributary.node.NodeRequest.Asked;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * This host among others: it serves its regions to other nodes, has those of others at hand for
 * processes of this host, and knows who there is. Thread-safe.
 */
public final class Node implements AutoCloseable {

    /** Where this host's processes ask for regions, counted from the agent's port. */
    public static final int LOCAL_OFFSET = 2;

    /** Where other nodes do. */
    public static final int LISTEN_OFFSET = 3;

    private static final Logger LOG = LoggerFactory.getLogger(Node.class);
    private static final Duration IDLE = Duration.ofSeconds(10);

    private final Options options;
    private final NodeSecret secret;
    private final NodeServer others;
    private final NodeServer local;
    private final Door door;
    private final ClusterMembership membership;
    private final NodeConnectionPool connections;
    private final LocalRegionStore store;
    private final NodeRequestHandler handler;
    private final RemoteRegions remote;
    private final ScheduledExecutorService sweeper;
    private final AtomicBoolean closed = new AtomicBoolean();
    private volatile Optional<Exchange> agent = Optional.empty();
    private volatile Optional<DescriptorRouter> router = Optional.empty();

    /**
     * How a node is run.
     *
     * @param name its name, unique among all nodes
     * @param host where others reach it
     * @param port the same; 0 for any that is free
     * @param localPort where processes of this host reach it, on the loopback; 0 for any
     * @param directory this host's regions; those to whom it is open may ask
     * @param jobBytesPerSecond bound of what is sent of each job's regions; 0 for none
     */
    public record Options(
            String name,
            String host,
            int port,
            int localPort,
            Path directory,
            long jobBytesPerSecond) {}

    private Node(Options options, NodeSecret secret) throws IOException {
        this.options = options;
        this.secret = secret;
        this.others =
                new NodeServer(
                        new InetSocketAddress(options.host(), options.port()),
                        channel -> Optional.empty());
        this.local =
                new NodeServer(
                        new InetSocketAddress(
                                InetAddress.getLoopbackAddress(), options.localPort()),
                        channel ->
                                channel.process()
                                        .map(PeerProcess::user)
                                        .filter(this::expects)
                                        .map(user -> Integer.toString(user)));
        this.door = Door.open(options.directory(), local.port(), this::failed);
        this.membership =
                new ClusterMembership(
                        new Member(
                                options.name(),
                                options.host(),
                                others.port(),
                                System.currentTimeMillis()),
                        secret,
                        new Listener());
        this.connections = new NodeConnectionPool(membership, secret);
        this.store =
                new LocalRegionStore(
                        options.name(),
                        options.directory(),
                        new RateLimiter(options.jobBytesPerSecond()));
        this.handler =
                new NodeRequestHandler(
                        options.name(),
                        store,
                        new CounterService(),
                        new BarrierService(),
                        new EndpointRegistry());
        this.remote = new RemoteRegions(options.directory().resolve(".remote"), connections, IDLE);
        this.sweeper = Executors.newSingleThreadScheduledExecutor(new DaemonThreads("node-sweep"));
    }

    private boolean expects(int user) {
        return door.expects(user);
    }

    private void failed(Throwable e) {
        LOG.error("the node cannot go on", e);
        agent.ifPresent(exchange -> exchange.failed(e));
    }

    /**
     * Starts a node.
     *
     * @throws IOException when it cannot listen
     */
    public static Node start(Options options, NodeSecret secret) throws IOException {
        MemoryGuard.install();
        PeerProcess.requireSupport();
        Node node = new Node(options, secret);
        node.others.start(node::serve, node::failed);
        node.local.start(node::serveProcess, node::failed);
        node.sweeper.scheduleWithFixedDelay(node::sweep, 1, 1, TimeUnit.SECONDS);
        return node;
    }

    /**
     * Joins the nodes that another one knows. One that cannot be reached is tried again and again.
     *
     * @param host its address, or a name that may have the addresses of several nodes, this one
     *     among them, and that need not be known yet
     * @throws NodeRejectedException when it rejects this one: wrong secret, another version, a
     *     taken name
     */
    public void join(String host, int port) throws NodeRejectedException {
        join(host + ":" + port, Seeds.of(host, port));
    }

    void join(String what, Seeds seeds) throws NodeRejectedException {
        membership.join(what, seeds);
    }

    private void sweep() {
        try {
            remote.sweep();
            RegionMappings.sweep();
        } catch (RuntimeException e) {
            // The next one may do what this one could not.
            LOG.warn("copies cannot be swept: {}", e.getMessage());
        }
    }

    private final class Listener implements ClusterMembership.Listener {

        @Override
        public List<String> endpoints() {
            return router.map(DescriptorRouter::told).orElse(List.of());
        }

        @Override
        public void heard(String node, List<String> endpoints) {
            router.ifPresent(r -> r.learn(node, endpoints));
        }

        @Override
        public void lost(String node) {
            connections.lost(node);
            router.ifPresent(r -> r.lost(node));
        }
    }

    /** From now on descriptors pass between this host's endpoints and those of others. */
    public void connect(Exchange exchange) {
        agent = Optional.of(exchange);
        router = Optional.of(new DescriptorRouter(options.name(), connections, exchange));
    }

    /** The other node that has an endpoint. */
    public Optional<String> owner(EndpointId id) {
        return router.flatMap(r -> r.owner(id));
    }

    /**
     * Sends a descriptor to another node.
     *
     * @return false where none has its endpoint
     */
    public boolean route(Descriptor descriptor) {
        return router.filter(r -> r.route(descriptor)).isPresent();
    }

    /** Serves a process of this host. */
    private void serveProcess(NodeChannel channel) throws IOException {
        NodeRequest.Enter enter = channel.receiveSoon(NodeRequest.Enter.class);
        Optional<Door.Visitor> visitor = door.redeem(enter.token());
        if (visitor.isEmpty()) {
            channel.send(
                    NodeAnswer.rejected(
                            "expected a token that the node has just given at its door"));
            return;
        }
        int user = visitor.get().user();
        local.recognise(channel, Integer.toString(user));
        // It may stay as long as it likes, and ask nothing.
        channel.greeted();
        channel.send(NodeAnswer.of(options.name()));
        new LocalService(options.name(), membership, connections, handler, remote)
                .serve(user, channel);
    }

    /** Serves another node. */
    private void serve(NodeChannel channel) throws IOException {
        String other = Handshake.accept(channel, options.name(), secret);
        others.recognise(channel, other);
        RequestTable table = ofNode(other);
        while (true) {
            Asked asked = channel.receive(Asked.class, NodeChannel.IDLE);
            table.serve(asked.user(), asked.request(), channel);
        }
    }

    private RequestTable ofNode(String other) {
        RequestTable table = new RequestTable("other nodes");
        handler.enter(table);
        return table.run(
                        NodeRequest.Read.class,
                        (user, r, channel) -> {
                            handler.requireHere(r.ref().node());
                            store.send(user, r.ref(), r.identity(), channel);
                        })
                .answer(NodeRequest.Gossip.class, (user, r) -> membership.greeted(other, r))
                .answer(
                        NodeRequest.Deliver.class,
                        (user, r) -> {
                            router.ifPresent(its -> its.received(r.frames()));
                            return List.of();
                        })
                .answer(NodeRequest.Leave.class, (user, r) -> left(other, r.member()));
    }

    private List<Object> left(String other, Member member) throws NodeRejectedException {
        if (!member.node().equals(other)) {
            throw new NodeRejectedException(
                    "node %s does not speak for %s".formatted(other, member.node()));
        }
        membership.left(member);
        return List.of();
    }

    /** Its name. */
    public String name() {
        return options.name();
    }

    /** Where other nodes reach it. */
    public InetSocketAddress address() {
        return membership.self().address();
    }

    /** Where processes of this host reach it, on the loopback. */
    public int localPort() throws IOException {
        return local.port();
    }

    /** All members that it knows, itself first. */
    public List<MemberStatus> members() {
        return membership.all();
    }

    /** Bytes of other nodes' regions that it has received. */
    public long fetchedBytes() {
        return remote.fetchedBytes();
    }

    /** Leaves. */
    @Override
    public void close() throws IOException {
        if (closed.compareAndSet(false, true)) {
            membership.close();
            end();
        }
    }

    /** Goes without a word, as in a crash. */
    void abort() throws IOException {
        if (closed.compareAndSet(false, true)) {
            end();
        }
    }

    private void end() throws IOException {
        membership.abort();
        sweeper.shutdownNow();
        router.ifPresent(DescriptorRouter::close);
        others.close();
        // Before its port is free, since the next one's door has the same name.
        door.close();
        local.close();
        connections.close();
        remote.close();
    }
}
