// SPDX-License-Identifier: Apache-2.0

package io.tributary.shm.node;

import io.tributary.protocol.RejectedException;
import io.tributary.shm.guard.MemoryGuard;
import io.tributary.shm.region.RegionMappings;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Set;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;

/**
 * This host among others: it serves its regions to other nodes, has those of others at hand for
 * processes of this host, and knows who there is. Thread-safe.
 */
public final class Node implements AutoCloseable {

    private static final Duration IDLE = Duration.ofSeconds(30);

    private final Options options;
    private final NodeSecret secret;
    private final NodeServer others;
    private final NodeServer local;
    private final Membership membership;
    private final NodeLinks links;
    private final RegionShelf shelf;
    private final RemoteRegions remote;
    private final ScheduledExecutorService sweeper;

    /**
     * How a node is run.
     *
     * @param name its name, unique among all nodes
     * @param host where others reach it
     * @param port the same; 0 for any that is free
     * @param localPort where processes of this host reach it, on the loopback; 0 for any
     * @param directory this host's regions
     * @param jobBytesPerSecond bound of what is sent of each job's regions; 0 for none
     * @param users ids of the users whose processes may ask
     */
    public record Options(
            String name,
            String host,
            int port,
            int localPort,
            Path directory,
            long jobBytesPerSecond,
            Set<Integer> users) {

        public Options {
            users = Set.copyOf(users);
        }
    }

    private Node(Options options, NodeSecret secret) throws IOException {
        this.options = options;
        this.secret = secret;
        this.others = new NodeServer(new InetSocketAddress(options.host(), options.port()));
        this.local =
                new NodeServer(
                        new InetSocketAddress(
                                InetAddress.getLoopbackAddress(), options.localPort()));
        this.membership =
                new Membership(
                        new Member(
                                options.name(),
                                options.host(),
                                others.port(),
                                System.currentTimeMillis()),
                        secret,
                        this::lost);
        this.links = new NodeLinks(membership, secret);
        this.shelf =
                new RegionShelf(
                        options.name(),
                        options.directory(),
                        new Rates(options.jobBytesPerSecond()));
        this.remote = new RemoteRegions(options.directory().resolve("remote"), links, IDLE);
        this.sweeper =
                Executors.newSingleThreadScheduledExecutor(
                        task -> {
                            Thread thread = new Thread(task, "node-sweep");
                            thread.setDaemon(true);
                            return thread;
                        });
    }

    /**
     * Starts a node.
     *
     * @throws IOException when it cannot listen
     */
    public static Node start(Options options, NodeSecret secret) throws IOException {
        MemoryGuard.install();
        Node node = new Node(options, secret);
        node.others.start(node::serve);
        node.local.start(
                channel ->
                        new LocalService(
                                        node.options,
                                        node.local.port(),
                                        node.membership,
                                        node.links,
                                        node.shelf,
                                        node.remote)
                                .serve(channel));
        node.sweeper.scheduleWithFixedDelay(node::sweep, 1, 1, TimeUnit.SECONDS);
        return node;
    }

    /**
     * Joins the nodes that another one knows. One that cannot be reached is tried again and again.
     *
     * @throws NodeRefusedException when it refuses: wrong secret, another version, a taken name
     */
    public void join(InetSocketAddress seed) throws NodeRefusedException {
        membership.join(seed);
    }

    private void sweep() {
        remote.sweep();
        RegionMappings.sweep();
    }

    private void lost(String node) {
        links.lost(node);
    }

    /** Serves another node. */
    private void serve(NodeChannel channel) throws IOException {
        Handshake.accept(channel, options.name(), secret);
        while (true) {
            NodeRequest request = channel.receive(NodeRequest.class);
            try {
                if (request instanceof NodeRequest.Read read) {
                    shelf.send(read.ref(), channel);
                } else {
                    channel.send(NodeAnswer.of(answer(request)));
                }
            } catch (NodeRefusedException | RejectedException e) {
                channel.send(NodeAnswer.refused(e.getMessage()));
            }
        }
    }

    private Object answer(NodeRequest request) throws NodeRefusedException {
        if (request instanceof NodeRequest.Gossip gossip) {
            return membership.greeted(gossip.members());
        }
        if (request instanceof NodeRequest.Leave leave) {
            membership.left(leave.member());
            return List.of();
        }
        if (request instanceof NodeRequest.Listing listing) {
            return shelf.list(listing.prefix());
        }
        if (request instanceof NodeRequest.Find find) {
            return shelf.find(find.name());
        }
        throw new NodeRefusedException("%s is not for other nodes".formatted(request));
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
        membership.close();
        abort();
    }

    /** Goes without a word, as in a crash. */
    void abort() throws IOException {
        membership.abort();
        sweeper.shutdownNow();
        others.close();
        local.close();
        links.close();
        remote.close();
    }
}
