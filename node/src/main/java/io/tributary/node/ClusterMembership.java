// SPDX-License-Identifier: Apache-2.0

package io.tributary.node;

import io.tributary.node.NodeRequest.Asked;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.stream.Collectors;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Who there is. Each node greets each other one that it knows twice a second and tells it whom it
 * knows, so a node that joins one is soon known to all. Each node decides for itself which others
 * are dead: a node that has neither greeted nor answered for {@link #SILENCE}. Thread-safe.
 */
final class ClusterMembership implements AutoCloseable {

    /** Silence after which a node is dead. */
    static final Duration SILENCE = Duration.ofMillis(2500);

    private static final Logger LOG = LoggerFactory.getLogger(ClusterMembership.class);
    private static final long GREET_MILLIS = 500;
    private static final Duration FORGET = Duration.ofMinutes(10);

    private final Member self;
    private final NodeSecret secret;
    private final Listener listener;
    private final Map<String, Known> all = new TreeMap<>();

    /** The incarnations of those that have left. */
    private final Map<String, Long> left = new HashMap<>();

    private final List<Thread> threads = new CopyOnWriteArrayList<>();
    private volatile boolean closed;

    private static final class Known {

        private volatile Member member;
        private long heardNanos = System.nanoTime();
        private boolean alive = true;

        Known(Member member) {
            this.member = member;
        }

        boolean silentFor(Duration time) {
            return System.nanoTime() - heardNanos > time.toNanos();
        }
    }

    /** What is said with greetings, and who hears it. */
    interface Listener {

        /** This host's endpoints. */
        List<String> endpoints();

        /** A node has said which endpoints it has. */
        void heard(String node, List<String> endpoints);

        /** A node has died or left. */
        void lost(String node);
    }

    ClusterMembership(Member self, NodeSecret secret, Listener listener) {
        this.self = self;
        this.secret = secret;
        this.listener = listener;
        start("node-silence", this::watch);
    }

    private void start(String name, Runnable task) {
        Thread thread = new Thread(task, name);
        thread.setDaemon(true);
        threads.add(thread);
        thread.start();
    }

    Member self() {
        return self;
    }

    /**
     * Joins by the nodes at some addresses, of which one may be this node's own. One that cannot be
     * reached is tried again and again, also later, should it go and come back.
     *
     * @param what the addresses, for messages
     * @throws NodeRejectedException when one rejects this one, and no other accepts it
     */
    void join(String what, Seeds seeds) throws NodeRejectedException {
        Optional<NodeRejectedException> rejection = Optional.empty();
        boolean accepted = false;
        try {
            for (InetSocketAddress seed : absent(seeds)) {
                try {
                    greetSeed(seed);
                    accepted = true;
                } catch (NodeRejectedException e) {
                    rejection = Optional.of(e);
                } catch (IOException | RuntimeException e) {
                    LOG.warn("{} cannot be joined yet: {}", seed, e.getMessage());
                }
            }
        } catch (IOException e) {
            LOG.warn("{} cannot be joined yet: {}", what, e.toString());
        }
        if (rejection.isPresent() && !accepted) {
            throw rejection.get();
        }
        rejection.ifPresent(e -> LOG.warn("{}: {}", what, e.getMessage()));
        start("node-seed-" + what, () -> keepJoined(what, seeds));
    }

    /** Those of which no living node, this one among them, is known. */
    private List<InetSocketAddress> absent(Seeds seeds) throws IOException {
        List<InetSocketAddress> absent = new ArrayList<>(seeds.addresses());
        living().forEach(member -> absent.remove(member.address()));
        return absent;
    }

    private void greetSeed(InetSocketAddress seed) throws IOException {
        try (NodeChannel channel = NodeChannel.connect(seed)) {
            greet(channel, Handshake.connect(channel, self.node(), secret));
        }
    }

    /** A node that was away for long is forgotten by all; where it may be is not. */
    private void keepJoined(String what, Seeds seeds) {
        while (!closed) {
            try {
                for (InetSocketAddress seed : absent(seeds)) {
                    greetAgain(seed);
                }
            } catch (IOException | RuntimeException e) {
                LOG.debug("{} cannot be joined: {}", what, e.toString());
            }
            pause(2 * GREET_MILLIS);
        }
    }

    private void greetAgain(InetSocketAddress seed) {
        try {
            greetSeed(seed);
        } catch (IOException | RuntimeException e) {
            LOG.debug("{} cannot be joined: {}", seed, e.getMessage());
        }
    }

    private void greet(NodeChannel channel, String node) throws IOException {
        channel.send(Asked.own(greeting()));
        take(node, channel.receiveSoon(NodeAnswer.class).as(NodeRequest.Gossip.class));
    }

    /**
     * Takes a greeting.
     *
     * @param node its sender, which has proved to be that node
     * @return this node's own
     * @throws NodeRejectedException when another living node has the name
     */
    NodeRequest.Gossip greeted(String node, NodeRequest.Gossip theirs)
            throws NodeRejectedException {
        Optional<Member> holder = holder(theirs.members().get(0));
        if (holder.isPresent()) {
            throw new NodeRejectedException(
                    "the name %s belongs to the node at %s, which lives; choose another with --node"
                            .formatted(node, holder.get().place()));
        }
        take(node, theirs);
        return greeting();
    }

    private NodeRequest.Gossip greeting() {
        return new NodeRequest.Gossip(living(), listener.endpoints());
    }

    private void take(String node, NodeRequest.Gossip theirs) throws NodeRejectedException {
        Member sender = theirs.members().get(0);
        if (sender.equals(self)) {
            // By another address of this host.
            return;
        }
        if (!sender.node().equals(node)) {
            throw new NodeRejectedException(
                    "expected node %s to speak for itself, got %s".formatted(node, sender.node()));
        }
        for (Member member : theirs.members()) {
            if (learn(member, member.equals(sender))) {
                // Its former self is gone, and with it all connections.
                listener.lost(member.node());
            }
        }
        listener.heard(node, theirs.endpoints());
    }

    /** Another living node of the same name. */
    private synchronized Optional<Member> holder(Member sender) {
        if (sender.node().equals(self.node())) {
            return Optional.of(self).filter(s -> !s.equals(sender));
        }
        return Optional.ofNullable(all.get(sender.node()))
                .filter(k -> k.alive && !k.silentFor(SILENCE))
                .map(k -> k.member)
                .filter(m -> !m.equals(sender) && !m.place().equals(sender.place()));
    }

    /**
     * @param heard whether it spoke itself, rather than being spoken of
     * @return whether it is another incarnation than the one that was known
     */
    private synchronized boolean learn(Member member, boolean heard) {
        Long gone = left.get(member.node());
        if (member.node().equals(self.node())
                || closed
                || gone != null && gone == member.incarnation()) {
            return false;
        }
        Known known = all.get(member.node());
        boolean renewed = false;
        if (known == null) {
            known = new Known(member);
            all.put(member.node(), known);
            LOG.info("node {} at {} is there", member.node(), member.place());
            Known mine = known;
            start("node-greet-" + member.node(), () -> greetAlways(mine));
        } else if (member.incarnation() > known.member.incarnation()
                || heard && member.incarnation() != known.member.incarnation()) {
            // Clocks can go back, so what a node says of itself is believed.
            known.member = member;
            renewed = true;
        }
        if (heard) {
            known.heardNanos = System.nanoTime();
            if (!known.alive) {
                known.alive = true;
                LOG.info("node {} is back", member.node());
            }
        }
        return renewed;
    }

    private void greetAlways(Known known) {
        NodeChannel channel = null;
        while (!closed && isKnown(known)) {
            String node = known.member.node();
            try {
                if (channel == null) {
                    channel = Handshake.open(known.member.address(), self.node(), secret, node);
                }
                greet(channel, node);
            } catch (IOException | RuntimeException e) {
                LOG.debug("node {}: {}", node, e.getMessage());
                if (channel != null) {
                    channel.close();
                    channel = null;
                }
            }
            pause(GREET_MILLIS);
        }
        if (channel != null) {
            channel.close();
        }
        threads.remove(Thread.currentThread());
    }

    private void watch() {
        while (!closed) {
            for (String node : silent()) {
                LOG.warn("node {} was not heard of for {} and is lost", node, SILENCE);
                listener.lost(node);
            }
            pause(GREET_MILLIS / 5);
        }
    }

    /** Those that have just become silent; those that were silent for long are forgotten. */
    private synchronized List<String> silent() {
        all.values().removeIf(k -> k.silentFor(FORGET));
        List<String> silent = new ArrayList<>();
        all.forEach(
                (node, k) -> {
                    if (k.alive && k.silentFor(SILENCE)) {
                        k.alive = false;
                        silent.add(node);
                    }
                });
        return silent;
    }

    private void pause(long millis) {
        try {
            Thread.sleep(millis);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            closed = true;
        }
    }

    private synchronized boolean isKnown(Known known) {
        return all.get(known.member.node()) == known;
    }

    /** All living members, this one first. */
    synchronized List<Member> living() {
        List<Member> living = new ArrayList<>(List.of(self));
        all.values().stream().filter(k -> k.alive).map(k -> k.member).forEach(living::add);
        return living;
    }

    /** All members, this one first. */
    synchronized List<MemberStatus> all() {
        List<MemberStatus> seen = new ArrayList<>(List.of(new MemberStatus(self, true)));
        all.values().stream().map(k -> new MemberStatus(k.member, k.alive)).forEach(seen::add);
        return seen;
    }

    /**
     * Where a node is, whether it lives or not.
     *
     * @throws NodeRejectedException when it is not known
     */
    InetSocketAddress address(String node) throws NodeRejectedException {
        Member member =
                all().stream()
                        .map(MemberStatus::member)
                        .filter(m -> m.node().equals(node))
                        .findFirst()
                        .orElseThrow(
                                () ->
                                        new NodeRejectedException(
                                                "node %s: expected one of %s; has it joined?"
                                                        .formatted(node, names(all()))));
        // Not under the lock: a name server may take its time.
        return member.address();
    }

    /**
     * @throws NodeRejectedException when it is not known, or lost
     */
    void requireAlive(String node) throws NodeRejectedException {
        if (living().stream().noneMatch(m -> m.node().equals(node))) {
            address(node);
            throw new NodeRejectedException("node lost: " + node);
        }
    }

    private static String names(Collection<MemberStatus> all) {
        return all.stream().map(seen -> seen.member().node()).collect(Collectors.joining(", "));
    }

    /** A member goes. */
    void left(Member member) {
        synchronized (this) {
            // Others who have not heard of it may still speak of it.
            left.put(member.node(), member.incarnation());
            all.remove(member.node());
        }
        LOG.info("node {} has left", member.node());
        listener.lost(member.node());
    }

    /** Leaves, and says so to all. */
    @Override
    public void close() {
        closed = true;
        for (Member member : living()) {
            if (!member.equals(self)) {
                try (NodeChannel channel =
                        Handshake.open(member.address(), self.node(), secret, member.node())) {
                    channel.send(Asked.own(new NodeRequest.Leave(self)));
                    channel.receiveSoon(NodeAnswer.class);
                } catch (IOException | RuntimeException e) {
                    LOG.debug("node {} was not told: {}", member.node(), e.getMessage());
                }
            }
        }
        abort();
    }

    /** Stops without a word. */
    void abort() {
        closed = true;
        threads.forEach(Thread::interrupt);
    }
}
