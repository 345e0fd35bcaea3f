// SPDX-License-Identifier: Apache-2.0

package io.tributary.shm.node;

import java.io.IOException;
import java.net.InetSocketAddress;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.function.Consumer;
import java.util.stream.Collectors;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Who there is. Each node greets each other one that it knows twice a second and tells it whom it
 * knows, so whoever joins one is soon known to all. Who is dead each decides for itself: a node
 * that has neither greeted nor answered for {@link #SILENCE}. Thread-safe.
 */
final class Membership implements AutoCloseable {

    /** Silence after which a node is dead. */
    static final Duration SILENCE = Duration.ofMillis(2500);

    private static final Logger LOG = LoggerFactory.getLogger(Membership.class);
    private static final long GREET_MILLIS = 500;
    private static final Duration FORGET = Duration.ofMinutes(10);

    private final Member self;
    private final NodeSecret secret;
    private final Consumer<String> lost;
    private final Map<String, Known> known = new TreeMap<>();
    private final List<Thread> greeters = new CopyOnWriteArrayList<>();
    private volatile boolean closed;

    private static final class Known {

        private Member member;
        private long heardNanos = System.nanoTime();
        private boolean alive = true;

        Known(Member member) {
            this.member = member;
        }

        boolean silentFor(Duration time) {
            return System.nanoTime() - heardNanos > time.toNanos();
        }
    }

    /**
     * @param lost told the name of each node that dies or leaves
     */
    Membership(Member self, NodeSecret secret, Consumer<String> lost) {
        this.self = self;
        this.secret = secret;
        this.lost = lost;
        start("node-silence", this::watch);
    }

    private void start(String name, Runnable task) {
        Thread thread = new Thread(task, name);
        thread.setDaemon(true);
        greeters.add(thread);
        thread.start();
    }

    Member self() {
        return self;
    }

    /**
     * Joins by another node; one that cannot be reached is tried again and again, also later,
     * should it go and come back.
     *
     * @throws NodeRefusedException when it refuses
     */
    void join(InetSocketAddress seed) throws NodeRefusedException {
        try {
            greetSeed(seed);
        } catch (NodeRefusedException e) {
            throw e;
        } catch (IOException e) {
            LOG.warn("{} cannot be joined yet: {}", seed, e.getMessage());
        }
        start("node-seed-" + seed, () -> keepJoined(seed));
    }

    private void greetSeed(InetSocketAddress seed) throws IOException {
        try (NodeChannel channel = NodeChannel.connect(seed)) {
            Handshake.connect(channel, self.node(), secret);
            greet(channel);
        }
    }

    /** A node that was away for long is forgotten by all; its address is not. */
    private void keepJoined(InetSocketAddress seed) {
        while (!closed) {
            boolean there =
                    living().stream().anyMatch(m -> !m.equals(self) && m.address().equals(seed));
            if (!there) {
                try {
                    greetSeed(seed);
                } catch (IOException | RuntimeException e) {
                    LOG.debug("{} cannot be joined: {}", seed, e.getMessage());
                }
            }
            pause(2 * GREET_MILLIS);
        }
    }

    private void greet(NodeChannel channel) throws IOException {
        channel.send(new NodeRequest.Gossip(living()));
        Member[] theirs = channel.receiveSoon(NodeAnswer.class).as(Member[].class);
        for (Member member : theirs) {
            learn(member, member.equals(theirs[0]));
        }
    }

    /**
     * Takes a greeting.
     *
     * @return all living members, this one first
     * @throws NodeRefusedException when another living node has the name
     */
    List<Member> greeted(List<Member> theirs) throws NodeRefusedException {
        Member sender = theirs.get(0);
        Optional<Member> holder = holder(sender);
        if (holder.isPresent()) {
            throw new NodeRefusedException(
                    "the name %s belongs to the node at %s, which lives; choose another with --node"
                            .formatted(sender.node(), holder.get().place()));
        }
        for (Member member : theirs) {
            learn(member, member.equals(sender));
        }
        return living();
    }

    /** Another living node of the same name. */
    private synchronized Optional<Member> holder(Member sender) {
        if (sender.node().equals(self.node())) {
            return Optional.of(self).filter(s -> !s.equals(sender));
        }
        return Optional.ofNullable(known.get(sender.node()))
                .filter(k -> k.alive && !k.silentFor(SILENCE))
                .map(k -> k.member)
                .filter(m -> !m.equals(sender) && !m.place().equals(sender.place()));
    }

    /**
     * @param heard whether it spoke itself, rather than being spoken of
     */
    private synchronized void learn(Member member, boolean heard) {
        if (member.node().equals(self.node()) || closed) {
            return;
        }
        Known before = known.get(member.node());
        if (before == null) {
            before = new Known(member);
            known.put(member.node(), before);
            LOG.info("node {} at {} is there", member.node(), member.place());
            start("node-greet-" + member.node(), () -> greetAlways(member.node()));
        } else if (member.incarnation() > before.member.incarnation()) {
            before.member = member;
        } else if (member.incarnation() < before.member.incarnation()) {
            return;
        }
        if (heard) {
            before.heardNanos = System.nanoTime();
            if (!before.alive) {
                before.alive = true;
                LOG.info("node {} is back", member.node());
            }
        }
    }

    private void greetAlways(String node) {
        NodeChannel channel = null;
        while (!closed && isKnown(node)) {
            try {
                if (channel == null) {
                    channel = NodeChannel.connect(address(node));
                    Handshake.connect(channel, self.node(), secret);
                }
                greet(channel);
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
    }

    private void watch() {
        while (!closed) {
            for (String node : silent()) {
                LOG.warn("node {} was not heard of for {} and is lost", node, SILENCE);
                lost.accept(node);
            }
            pause(GREET_MILLIS / 5);
        }
    }

    /** Those that have just become silent; who has been so for long is forgotten. */
    private synchronized List<String> silent() {
        known.values().removeIf(k -> k.silentFor(FORGET));
        List<String> silent = new ArrayList<>();
        known.forEach(
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

    private synchronized boolean isKnown(String node) {
        return known.containsKey(node);
    }

    /** All living members, this one first. */
    synchronized List<Member> living() {
        List<Member> living = new ArrayList<>(List.of(self));
        known.values().stream().filter(k -> k.alive).map(k -> k.member).forEach(living::add);
        return living;
    }

    /** All members, this one first. */
    synchronized List<MemberStatus> all() {
        List<MemberStatus> all = new ArrayList<>(List.of(new MemberStatus(self, true)));
        known.values().stream().map(k -> new MemberStatus(k.member, k.alive)).forEach(all::add);
        return all;
    }

    /**
     * Where a living node is.
     *
     * @throws NodeRefusedException when it is not known, or lost
     */
    synchronized InetSocketAddress address(String node) throws NodeRefusedException {
        if (node.equals(self.node())) {
            return self.address();
        }
        Known found = known.get(node);
        if (found == null) {
            throw new NodeRefusedException(
                    "node %s: expected one of %s; has it joined?".formatted(node, names(all())));
        }
        return found.member.address();
    }

    /**
     * @throws NodeRefusedException when it is not known, or lost
     */
    void requireAlive(String node) throws NodeRefusedException {
        address(node);
        if (living().stream().noneMatch(m -> m.node().equals(node))) {
            throw new NodeRefusedException("node lost: " + node);
        }
    }

    private static String names(Collection<MemberStatus> all) {
        return all.stream().map(seen -> seen.member().node()).collect(Collectors.joining(", "));
    }

    /** A member goes. */
    void left(Member member) {
        boolean there;
        synchronized (this) {
            Known found = known.get(member.node());
            there = found != null && found.member.incarnation() <= member.incarnation();
            if (there) {
                known.remove(member.node());
            }
        }
        if (there) {
            LOG.info("node {} has left", member.node());
            lost.accept(member.node());
        }
    }

    /** Leaves, and says so to all. */
    @Override
    public void close() {
        closed = true;
        for (Member member : living()) {
            if (!member.equals(self)) {
                try (NodeChannel channel = NodeChannel.connect(member.address())) {
                    Handshake.connect(channel, self.node(), secret);
                    channel.send(new NodeRequest.Leave(self));
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
        greeters.forEach(Thread::interrupt);
    }
}
