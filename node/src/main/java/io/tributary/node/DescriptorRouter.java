// SPDX-License-Identifier: Apache-2.0

package io.tributary.node;

import io.tributary.memory.mailbox.Descriptor;
import io.tributary.memory.mailbox.EndpointId;
import io.tributary.node.NodeRequest.Asked;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.UUID;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.atomic.AtomicLong;
import java.util.stream.Collectors;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Carries descriptors to endpoints of other nodes. The nodes tell each other which endpoints they
 * have with their greetings. A descriptor is only a ring of the bell, so one that finds no room in
 * the queue is dropped. Where two nodes turn out to have the same endpoint, which can be when they
 * could not reach each other before, the one whose name comes first keeps it. Thread-safe.
 */
final class DescriptorRouter implements AutoCloseable {

    private static final Logger LOG = LoggerFactory.getLogger(DescriptorRouter.class);
    private static final int WAITING = 4096;
    private static final int TOGETHER = 256;

    private final String self;
    private final NodeConnectionPool connections;
    private final Exchange exchange;
    private final Map<String, Set<EndpointId>> elsewhere = new HashMap<>();
    private final BlockingQueue<Routed> waiting = new ArrayBlockingQueue<>(WAITING);
    private final AtomicLong dropped = new AtomicLong();
    private final Thread carrier;

    private record Routed(String node, Descriptor descriptor) {}

    DescriptorRouter(String self, NodeConnectionPool connections, Exchange exchange) {
        this.self = self;
        this.connections = connections;
        this.exchange = exchange;
        this.carrier = new Thread(this::carry, "node-descriptors");
        carrier.setDaemon(true);
        carrier.start();
    }

    /** This node's endpoints, as they are told. */
    List<String> told() {
        return exchange.endpoints().stream().map(EndpointId::toString).toList();
    }

    /** Another node has told which endpoints it has. */
    void learn(String node, List<String> ids) {
        Set<EndpointId> theirs =
                ids.stream().map(DescriptorRouter::parse).collect(Collectors.toSet());
        synchronized (elsewhere) {
            elsewhere.put(node, theirs);
        }
        if (node.compareTo(self) < 0) {
            Set<EndpointId> both = new HashSet<>(exchange.endpoints());
            both.retainAll(theirs);
            for (EndpointId id : both) {
                LOG.warn("endpoint {} belongs to node {}, which has it too", id, node);
                exchange.evict(id);
            }
        }
    }

    private static EndpointId parse(String id) {
        UUID uuid = UUID.fromString(id);
        return new EndpointId(uuid.getMostSignificantBits(), uuid.getLeastSignificantBits());
    }

    /** A node is gone, and with it its endpoints. */
    void lost(String node) {
        synchronized (elsewhere) {
            elsewhere.remove(node);
        }
    }

    /** The living node that has an endpoint. */
    Optional<String> owner(EndpointId id) {
        synchronized (elsewhere) {
            return elsewhere.entrySet().stream()
                    .filter(e -> e.getValue().contains(id))
                    .map(Map.Entry::getKey)
                    .findFirst();
        }
    }

    /**
     * Sends a descriptor on its way.
     *
     * @return false where no node has its endpoint
     */
    boolean route(Descriptor descriptor) {
        Optional<String> owner = owner(descriptor.to());
        owner.ifPresent(
                node -> {
                    if (!waiting.offer(new Routed(node, descriptor))) {
                        dropped.incrementAndGet();
                    }
                });
        return owner.isPresent();
    }

    private void carry() {
        List<Routed> batch = new ArrayList<>();
        try {
            while (true) {
                batch.add(waiting.take());
                waiting.drainTo(batch, TOGETHER - 1);
                batch.stream().collect(Collectors.groupingBy(Routed::node)).forEach(this::deliver);
                batch.clear();
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    private void deliver(String node, List<Routed> batch) {
        List<byte[]> frames = batch.stream().map(r -> r.descriptor().encode().array()).toList();
        try {
            connections.use(
                    node,
                    channel -> {
                        channel.send(Asked.own(new NodeRequest.Deliver(frames)));
                        return channel.receiveSoon(NodeAnswer.class).as(List.class);
                    });
        } catch (IOException | RuntimeException e) {
            dropped.addAndGet(frames.size());
            LOG.debug("{} descriptors for node {} lost: {}", frames.size(), node, e.getMessage());
        }
    }

    /** Descriptors have come from another node. */
    void received(List<byte[]> frames) {
        for (byte[] frame : frames) {
            exchange.deliver(Descriptor.decode(ByteBuffer.wrap(frame), 0));
        }
    }

    /** Descriptors that did not get to their node. */
    long dropped() {
        return dropped.get();
    }

    @Override
    public void close() {
        carrier.interrupt();
    }
}
