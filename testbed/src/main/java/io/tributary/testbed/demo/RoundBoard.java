// SPDX-License-Identifier: Apache-2.0

package io.tributary.testbed.demo;

import io.tributary.job.graph.JobListener;
import io.tributary.protocol.message.ModelDescription;
import io.tributary.protocol.message.RoundStatus;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.function.Consumer;

/** Keeps what a job says of its rounds, for somebody to wait on. Thread-safe. */
public final class RoundBoard implements JobListener {

    private final Consumer<RoundStatus> onStatus;
    private final Consumer<ModelDescription> onModel;
    private final Map<Integer, RoundStatus> closed = new TreeMap<>();
    private final Map<Integer, ModelDescription> models = new TreeMap<>();
    private boolean allLeft;

    /**
     * @param onStatus is told of every change
     * @param onModel is told of every model
     */
    public RoundBoard(Consumer<RoundStatus> onStatus, Consumer<ModelDescription> onModel) {
        this.onStatus = onStatus;
        this.onModel = onModel;
    }

    @Override
    public void status(RoundStatus status) {
        onStatus.accept(status);
        if (status.state() == RoundStatus.State.CLOSED) {
            put(closed, status.round(), status);
        }
        if (status.state() == RoundStatus.State.FINISHED && status.expected() == 0) {
            allLeft();
        }
    }

    @Override
    public void model(ModelDescription model) {
        onModel.accept(model);
        put(models, model.round(), model);
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
}
