// SPDX-License-Identifier: Apache-2.0

package io.tributary.testbed.chaos;

import io.tributary.testbed.transport.TransportKind;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;

/**
 * What a chaos run is asked for.
 *
 * @param length how long processes are killed
 * @param every time between kills
 * @param seed of all that is random
 * @param transport how updates travel
 * @param kinds what is killed
 * @param trainers who trains
 * @param regions where regions are made
 * @param hosts number of hosts to run on; 0 for this machine
 * @param algorithm one of those that {@link Reference} knows
 */
public record ChaosOptions(
        Duration length,
        Duration every,
        long seed,
        TransportKind transport,
        List<Kind> kinds,
        Trainers trainers,
        Path regions,
        int hosts,
        String algorithm) {

    /** What {@code algorithm} may be. */
    public static final List<String> ALGORITHMS = Reference.names();

    /**
     * Who trains, a process each.
     *
     * @param java in Java
     * @param python in Python
     */
    public record Trainers(int java, int python) {

        /** How many. */
        public int all() {
            return java + python;
        }
    }

    /** What may be killed. */
    public enum Kind {
        TASK_MANAGER,
        JOB_MANAGER,
        TRAINER,
        BROKER,
        AGENT,
        /** All of a host but the first, with its trainers and its memory. */
        HOST,
        /**
         * The same, and it does not come back. When one host is left, others come in place of those
         * that were lost.
         */
        LOST_HOST,
        /** The link of a host but the first, for a while. */
        LINK
    }

    /** What else may be killed where hosts are lost: all that needs no process to be replaced. */
    public static final List<Kind> BESIDE_LOST_HOSTS =
            List.of(Kind.TRAINER, Kind.LOST_HOST, Kind.LINK);

    /** Whether hosts are lost for good. */
    public boolean losesHosts() {
        return kinds.contains(Kind.LOST_HOST);
    }

    /**
     * What is killed where nothing is named.
     *
     * @param hosts whether it runs on hosts of its own
     */
    public static List<Kind> kinds(TransportKind transport, boolean hosts) {
        if (hosts) {
            return List.of(
                    Kind.TASK_MANAGER,
                    Kind.JOB_MANAGER,
                    Kind.TRAINER,
                    Kind.AGENT,
                    Kind.HOST,
                    Kind.LINK);
        }
        Kind between = transport.broker() ? Kind.BROKER : Kind.AGENT;
        return List.of(Kind.TASK_MANAGER, Kind.JOB_MANAGER, Kind.TRAINER, between);
    }
}
