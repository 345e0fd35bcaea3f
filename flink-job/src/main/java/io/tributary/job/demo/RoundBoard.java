// SPDX-License-Identifier: Apache-2.0

package io.tributary.job.demo;

import io.tributary.protocol.Json;
import io.tributary.protocol.RejectedException;
import io.tributary.protocol.message.ModelDescription;
import io.tributary.protocol.message.RoundStatus;
import io.tributary.protocol.message.Topics;
import io.tributary.protocol.mqtt.BrokerOptions;
import io.tributary.protocol.mqtt.Delivery;
import io.tributary.protocol.mqtt.MqttLink;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.UUID;
import java.util.function.Consumer;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Follows a job's rounds as anybody can: by its status and model topics. Thread-safe. */
final class RoundBoard implements AutoCloseable {

    private static final Logger LOG = LoggerFactory.getLogger(RoundBoard.class);

    private final Topics topics;
    private final Consumer<RoundStatus> onStatus;
    private final Map<Integer, RoundStatus> closed = new TreeMap<>();
    private final Map<Integer, ModelDescription> models = new TreeMap<>();
    private final MqttLink link;
    private boolean allLeft;

    RoundBoard(String job, BrokerOptions broker, Consumer<RoundStatus> onStatus) {
        this.topics = new Topics(job);
        this.onStatus = onStatus;
        this.link =
                MqttLink.connect(
                        broker,
                        new MqttLink.Settings(
                                "tributary-board-" + UUID.randomUUID(), 100, Optional.empty()),
                        this::accept);
        link.subscribe(List.of(topics.status(), topics.model()));
    }

    private void accept(Delivery message) {
        try {
            read(message);
        } catch (RejectedException e) {
            LOG.warn("ignored on {}: {}", message.topic(), e.getMessage());
        }
        message.done().run();
    }

    private void read(Delivery message) {
        if (message.topic().equals(topics.status())) {
            RoundStatus status = Json.decode(message.payload(), RoundStatus.class);
            onStatus.accept(status);
            if (status.state() == RoundStatus.State.CLOSED) {
                put(closed, status.round(), status);
            }
            if (status.state() == RoundStatus.State.FINISHED && status.expected() == 0) {
                allLeft();
            }
        } else {
            ModelDescription model = Json.decode(message.payload(), ModelDescription.class);
            put(models, model.round(), model);
        }
    }

    private synchronized <T> void put(Map<Integer, T> map, int round, T value) {
        map.put(round, value);
        notifyAll();
    }

    private synchronized void allLeft() {
        allLeft = true;
        notifyAll();
    }

    /** Waits until all trainers have left the finished job, at most for {@code millis}. */
    synchronized void awaitAllLeft(long millis) throws InterruptedException {
        long end = System.nanoTime() + millis * 1_000_000;
        for (long rest = millis; !allLeft && rest > 0; ) {
            wait(rest);
            rest = (end - System.nanoTime()) / 1_000_000;
        }
    }

    /**
     * A finished round.
     *
     * @param status how it closed
     * @param model what it produced
     */
    record Finished(RoundStatus status, ModelDescription model) {}

    /** The round, once it has closed and its model is there; empty after {@code millis}. */
    synchronized Optional<Finished> await(int round, long millis) throws InterruptedException {
        if (!closed.containsKey(round) || !models.containsKey(round)) {
            wait(millis);
        }
        return closed.containsKey(round) && models.containsKey(round)
                ? Optional.of(new Finished(closed.get(round), models.get(round)))
                : Optional.empty();
    }

    @Override
    public void close() {
        link.close();
    }
}
