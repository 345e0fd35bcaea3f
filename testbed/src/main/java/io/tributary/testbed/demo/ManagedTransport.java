// SPDX-License-Identifier: Apache-2.0

package io.tributary.testbed.demo;

import io.tributary.job.config.JobOptions.TransportType;
import io.tributary.job.graph.Transport;
import io.tributary.job.graph.WorkDirectory;
import io.tributary.node.PayloadStore;
import io.tributary.sources.base.staging.Staging;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Optional;

/** A transport whose broker, or node agent, is started for a demo and ends with it. */
interface ManagedTransport extends AutoCloseable {

    /**
     * Starts what a transport needs.
     *
     * @param work where its files are made
     * @param regions where regions are made; only with shared memory
     * @param quotaBytes of regions
     */
    static ManagedTransport start(
            TransportType type, WorkDirectory work, Optional<Path> regions, long quotaBytes)
            throws IOException {
        return switch (type) {
            case MQTT -> new ManagedMqtt(work, quotaBytes);
            case KAFKA -> new ManagedKafka(work, quotaBytes);
            case SHM -> new ManagedShm(regions.orElseThrow(), quotaBytes);
        };
    }

    /**
     * Where a broker's updates are staged: as long as trainers need to begin a resend, and longer.
     */
    static Staging staging(WorkDirectory work, long quotaBytes) {
        return new Staging(
                new PayloadStore.Place(work.directory("regions").toString()),
                quotaBytes,
                Duration.ofMinutes(5),
                Duration.ofHours(1));
    }

    /** The job's side. */
    Transport forJob();

    /** The trainers' side. */
    io.tributary.trainer.Transport forTrainers();

    /** A line that says where it is. */
    String description();

    /** Options of {@code tributary trainer} that lead to it. */
    String trainerOptions();

    @Override
    void close();
}
