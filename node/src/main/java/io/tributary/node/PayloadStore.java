// SPDX-License-Identifier: Apache-2.0

package io.tributary.node;

import io.tributary.memory.region.RegionDirectory;
import io.tributary.memory.region.RegionHeader;
import io.tributary.memory.region.RegionLayout.State;
import io.tributary.memory.region.RegionPool;
import io.tributary.memory.region.TrustedDirectory;
import io.tributary.protocol.RejectReason;
import io.tributary.protocol.RejectedException;
import io.tributary.protocol.message.PayloadRef;
import io.tributary.protocol.message.RegionRef;
import java.io.IOException;
import java.io.Serializable;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicLong;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * How a job's process gets at payloads, on its host and on others. Where hosts have no nodes, all
 * payloads are on this one. Thread-safe.
 */
public final class PayloadStore implements AutoCloseable {

    private static final Logger LOG = LoggerFactory.getLogger(PayloadStore.class);

    /** Regions of a host that are remembered to be given back; more are left to their owners. */
    private static final int MAX_PENDING = 10_000;

    private final Path root;
    private final Optional<NodeClient> regions;
    private final String node;
    private final Map<String, Deque<PayloadRef>> pending = new HashMap<>();
    private final AtomicLong remoteBytes = new AtomicLong();

    /**
     * Where regions are.
     *
     * @param directory the region directory, the same path on each host; {@code {uid}} in it is the
     *     id of the user whose process it is
     * @param nodePort where a host's node takes requests of its processes; 0 where there is none
     */
    public record Place(String directory, int nodePort) implements Serializable {

        /** No region directory: payloads are somebody's files, and only read. */
        public static final Place NONE = new Place("", 0);

        /** A directory on the only host. */
        public Place(String directory) {
            this(directory, 0);
        }

        /** The directory on this host. */
        public Path path() {
            return TrustedDirectory.of(directory).toAbsolutePath();
        }

        /** Whether there may be payloads on other hosts. */
        public boolean manyHosts() {
            return nodePort != 0;
        }

        /**
         * @throws IllegalStateException when this host's node cannot be reached
         */
        public PayloadStore open() {
            return new PayloadStore(this);
        }
    }

    private PayloadStore(Place place) {
        this.root = place.path();
        this.regions =
                place.manyHosts()
                        ? Optional.of(NodeClient.by(root, place.nodePort()))
                        : Optional.empty();
        this.node = regions.map(PayloadStore::name).orElse("");
    }

    private static String name(NodeClient regions) {
        try {
            return regions.members().get(0).member().node();
        } catch (IOException e) {
            regions.close();
            throw new IllegalStateException(e.getMessage(), e);
        }
    }

    /** This host's node; empty where there is none. */
    public String node() {
        return node;
    }

    /** A payload on this host as all hosts call it. */
    public PayloadRef shared(PayloadRef payload) {
        return payload.on(node);
    }

    /** Whether a payload is on another host. */
    public boolean elsewhere(PayloadRef payload) {
        return !payload.node().isEmpty() && !payload.node().equals(node);
    }

    private RegionRef ref(PayloadRef payload) {
        String name = root.relativize(Path.of(payload.path())).toString();
        if (!name.endsWith(RegionDirectory.SUFFIX)) {
            throw new RejectedException(
                    RejectReason.MALFORMED,
                    "%s on %s: expected a region".formatted(payload.path(), payload.node()));
        }
        return new RegionRef(
                payload.node(),
                name.substring(0, name.length() - RegionDirectory.SUFFIX.length()),
                payload.generation(),
                0,
                payload.length());
    }

    /**
     * Maps a range of a payload on another host.
     *
     * @param from where it begins in the payload, in bytes
     * @return memory by the payload's own offsets; what was not asked for is not there
     * @throws RejectedException PAYLOAD_LOST when it cannot be read any more
     */
    public NodeClient.Open open(PayloadRef payload, long from, long count) {
        try {
            NodeClient.Open open = regions().open(ref(payload).part(from, count));
            remoteBytes.addAndGet(count);
            return open;
        } catch (IOException e) {
            throw new RejectedException(RejectReason.PAYLOAD_LOST, e.getMessage());
        }
    }

    private NodeClient regions() {
        return regions.orElseThrow(
                () ->
                        new IllegalStateException(
                                "a payload is on another host, and this one has no node; regions.node-port says where it is"));
    }

    /** Bytes that were to be read of payloads on other hosts. */
    public long remoteBytes() {
        return remoteBytes.get();
    }

    /**
     * Reads a payload of a pool, and gives its region back, on this host or another.
     *
     * @param pool this process's pool
     * @param length bytes that are read, from the payload's beginning
     * @param reader given the payload's memory, which is its own only while it runs
     */
    public <E extends Exception> void consume(
            RegionPool pool, PayloadRef payload, long length, RegionPool.Reader<E> reader)
            throws E {
        if (!elsewhere(payload)) {
            pool.consume(payload, reader);
            return;
        }
        try (NodeClient.Open open = open(payload, 0, length)) {
            reader.read(open.memory());
        }
        release(payload);
    }

    /**
     * Gives a payload's region back. One on another host that cannot be reached now is remembered
     * for {@link #releaseAgain}.
     */
    public void release(PayloadRef payload) {
        if (!elsewhere(payload)) {
            RegionDirectory.release(payload);
        } else if (waits(payload.node()) || !givenBack(payload)) {
            remember(payload);
        }
    }

    private synchronized boolean waits(String host) {
        return pending.containsKey(host);
    }

    private synchronized void remember(PayloadRef payload) {
        Deque<PayloadRef> its = pending.computeIfAbsent(payload.node(), host -> new ArrayDeque<>());
        its.add(payload);
        if (its.size() > MAX_PENDING) {
            LOG.info("{} is not given back, others wait already", its.remove());
        }
    }

    /** Gives back what could not be before; of each host until the first that still cannot. */
    public synchronized void releaseAgain() {
        pending.values()
                .removeIf(
                        its -> {
                            while (!its.isEmpty() && givenBack(its.peek())) {
                                its.remove();
                            }
                            return its.isEmpty();
                        });
    }

    /** Whether it is given back, or gone. */
    private boolean givenBack(PayloadRef payload) {
        try {
            regions().giveBack(ref(payload));
            return true;
        } catch (IOException | RuntimeException e) {
            LOG.debug("{} was not released: {}", payload, e.getMessage());
            return lost(payload).equals(Optional.of(RejectReason.PAYLOAD_LOST));
        }
    }

    /** Why a payload cannot be read any more; empty where it can. */
    public Optional<RejectReason> lost(PayloadRef payload) {
        if (!payload.region()) {
            return Optional.empty();
        }
        try {
            if (elsewhere(payload)) {
                return lostElsewhere(payload);
            }
            RegionHeader header = RegionHeader.read(Path.of(payload.path()));
            return lost(
                    header.state() == State.READY && header.generation() == payload.generation());
        } catch (NodeUnavailableException e) {
            // This host's node is gone, which says nothing of the payload.
            return Optional.empty();
        } catch (RejectedException | IOException e) {
            return lost(false);
        }
    }

    private Optional<RejectReason> lostElsewhere(PayloadRef payload) throws IOException {
        boolean alive =
                regions().members().stream()
                        .anyMatch(m -> m.alive() && m.member().node().equals(payload.node()));
        if (!alive) {
            return Optional.of(RejectReason.NODE_LOST);
        }
        RegionInfo info = regions().find(payload.node(), ref(payload).name());
        return lost(info.state() == State.READY && info.ref().generation() == payload.generation());
    }

    private static Optional<RejectReason> lost(boolean there) {
        return there ? Optional.empty() : Optional.of(RejectReason.PAYLOAD_LOST);
    }

    /** What was to be released still is, where that can be done now. */
    @Override
    public void close() {
        releaseAgain();
        regions.ifPresent(NodeClient::close);
    }
}
