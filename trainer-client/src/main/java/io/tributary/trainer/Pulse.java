// SPDX-License-Identifier: Apache-2.0

package io.tributary.trainer;

import io.tributary.protocol.message.ControlMessage.Type;
import java.time.Duration;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Shows the job that its trainer lives, by heartbeats, and by one at once after a reconnection: the
 * broker has sent the will. It makes room for others too, since its trainer may be busy. What stops
 * it is an error of its trainer's next call.
 */
final class Pulse {

    private static final Logger LOG = LoggerFactory.getLogger(Pulse.class);
    private static final long WATCH_MILLIS = 200;
    private static final long END_MILLIS = 1_000;

    private final String trainer;
    private final TrainerConnection connection;
    private final Inbox inbox;
    private final Duration heartbeat;
    private final Thread thread;
    private volatile boolean beats;

    Pulse(String trainer, TrainerConnection connection, Inbox inbox, Duration heartbeat) {
        this.trainer = trainer;
        this.connection = connection;
        this.inbox = inbox;
        this.heartbeat = heartbeat;
        this.thread = new Thread(this::beat, "tributary-trainer-" + trainer);
        thread.setDaemon(true);
    }

    /** Begins, unless it has begun. */
    void begin() {
        if (!beats) {
            beats = true;
            thread.start();
        }
    }

    private void beat() {
        int connections = connection.connections();
        long last = System.nanoTime();
        while (beats) {
            try {
                Thread.sleep(WATCH_MILLIS);
                connection.makeRoom();
                int now = connection.connections();
                if (now != connections || System.nanoTime() - last > heartbeat.toNanos()) {
                    last = System.nanoTime();
                    connection.sendControl(Type.HEARTBEAT);
                    connections = now;
                }
            } catch (InterruptedException e) {
                return;
            } catch (RuntimeException e) {
                if (beats) {
                    LOG.warn("{}: {}", trainer, e.getMessage());
                    inbox.fail(e);
                }
                return;
            }
        }
    }

    /**
     * Ends it. A heartbeat that comes after a leave would make the trainer a member again, so the
     * last one is waited for, for a while.
     *
     * @return whether it had begun
     */
    boolean end() {
        boolean begun = beats;
        beats = false;
        thread.interrupt();
        try {
            thread.join(END_MILLIS);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
        return begun;
    }
}
