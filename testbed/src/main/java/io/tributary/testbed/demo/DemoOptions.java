// SPDX-License-Identifier: Apache-2.0

package io.tributary.testbed.demo;

import io.tributary.operators.coordinator.RoundRules.Timing;
import io.tributary.operators.optimizer.Algorithm;
import io.tributary.protocol.topology.Topology;
import io.tributary.testbed.transport.TransportKind;
import java.nio.file.Path;
import java.util.Map;
import java.util.Optional;

/**
 * What a demo is asked for.
 *
 * @param tree who aggregates for whom
 * @param trainers who trains
 * @param data what they train on
 * @param job how the job runs
 * @param shown what is shown and kept
 */
public record DemoOptions(Tree tree, Trainers trainers, Data data, Job job, Shown shown) {

    /**
     * Who aggregates for whom.
     *
     * @param name as given
     * @param topology compiled
     */
    public record Tree(String name, Topology topology) {}

    /**
     * Who trains.
     *
     * @param started here, in Java
     * @param python started here, in Python
     * @param minimum that must have joined before a round opens, from outside or not
     */
    public record Trainers(int started, int python, int minimum) {

        /** How many are started; with 0 the demo waits for one from elsewhere. */
        public int all() {
            return started + python;
        }
    }

    /**
     * What they train on.
     *
     * @param directory with IDX files; drawn digits without
     * @param alpha of the Dirichlet distribution of shares
     * @param seed of all that is random
     */
    public record Data(Optional<Path> directory, double alpha, long seed) {}

    /**
     * How the job runs.
     *
     * @param rounds number of rounds
     * @param timing when updates are folded
     * @param method how updates become a model
     * @param transport between trainers and job
     * @param regions where regions are made; only with shared memory
     */
    public record Job(
            int rounds, Timing timing, Method method, TransportKind transport, Path regions) {}

    /**
     * How updates become a model.
     *
     * @param name of the algorithm
     * @param parameters as given
     * @param algorithm made of both
     */
    public record Method(String name, Map<String, String> parameters, Algorithm algorithm) {}

    /**
     * What is shown and kept.
     *
     * @param uiPort port of Flink's web UI; a free one from 8081 on without
     * @param report file for the report in JSON
     * @param out directory that keeps the models
     * @param hold whether to keep the UI up
     * @param quiet whether to leave the live lines out
     */
    public record Shown(
            Optional<Integer> uiPort,
            Optional<Path> report,
            Optional<Path> out,
            boolean hold,
            boolean quiet) {}
}
