// SPDX-License-Identifier: Apache-2.0

package io.tributary.testbed.demo;

import io.tributary.operators.coordinator.RoundRules.Timing;
import io.tributary.protocol.topology.Topology;
import io.tributary.testbed.transport.TransportKind;
import java.nio.file.Path;
import java.util.Optional;

/**
 * What a demo is asked for.
 *
 * @param topologyName as given
 * @param topology compiled
 * @param trainers started here; with 0 the demo waits for one from elsewhere
 * @param minimumTrainers trainers that must have joined before a round opens, from outside or not
 * @param rounds number of rounds
 * @param data directory with IDX files; drawn digits without
 * @param alpha of the Dirichlet distribution of shares
 * @param seed of all that is random
 * @param timing when updates are folded
 * @param transport between trainers and job
 * @param regions where regions are made; only with shared memory
 * @param uiPort port of Flink's web UI; a free one from 8081 on without
 * @param report file for the report in JSON
 * @param out directory that keeps the models
 * @param hold whether to keep the UI up
 * @param quiet whether to leave the live lines out
 */
public record DemoOptions(
        String topologyName,
        Topology topology,
        int trainers,
        int minimumTrainers,
        int rounds,
        Optional<Path> data,
        double alpha,
        long seed,
        Timing timing,
        TransportKind transport,
        Path regions,
        Optional<Integer> uiPort,
        Optional<Path> report,
        Optional<Path> out,
        boolean hold,
        boolean quiet) {}
