// SPDX-License-Identifier: Apache-2.0

package io.tributary.sources.base.staging;

import io.tributary.memory.region.JobDirectory;
import io.tributary.memory.region.JobLock;
import io.tributary.memory.region.RegionPool;
import io.tributary.node.PayloadStore;
import io.tributary.protocol.message.Run;
import io.tributary.protocol.tensor.ModelLayout;
import java.io.Serializable;
import java.nio.file.Path;
import java.time.Duration;
import org.apache.flink.metrics.MetricGroup;

/**
 * Where updates are staged.
 *
 * <p>Metrics of a reader: gauges {@code updatesStaging}, {@code chunksWaiting} for room, {@code
 * updatesDeferred} that will be asked for again when there is room.
 *
 * @param regions the region directory; the job has one of its own below it
 * @param quotaBytes bound for all regions of the job
 * @param idle time without anything new after which an unfinished update is thrown away
 * @param deadline time after which it is in any case
 */
public record Staging(PayloadStore.Place regions, long quotaBytes, Duration idle, Duration deadline)
        implements Serializable {

    /** Half of what an MQTT broker may send, so that waiting chunks never keep others away. */
    private static final int MAX_WAITING = 16;

    /** Time without anything new after which an update gives way where room is short. */
    private static final Duration GRACE = Duration.ofSeconds(10);

    /** Where partial sums are, beside the updates. */
    public RegionPool.Place partials(String job) {
        return new RegionPool.Place(job, regions.directory(), quotaBytes);
    }

    /**
     * A decoder of chunks for one reader.
     *
     * @param transport over which they come; one reader's updates are no other transport's
     * @param ordered whether the chunks of a sending come in order, and from the first
     */
    public UpdateDecoder decoder(
            String transport,
            String job,
            Run run,
            ModelLayout model,
            boolean ordered,
            MetricGroup metrics) {
        Path directory = regions.path();
        JobDirectory files = JobDirectory.of(directory, job).staged(transport);
        ChunkAssembler assembler =
                new ChunkAssembler(
                        job,
                        run,
                        model,
                        new StagingRegions(files, files.regions(quotaBytes)),
                        new ChunkAssembler.Limits(
                                MAX_WAITING,
                                idle,
                                GRACE.compareTo(idle) < 0 ? GRACE : idle,
                                deadline,
                                ordered),
                        System::nanoTime);
        metrics.gauge("updatesStaging", assembler::staging);
        metrics.gauge("chunksWaiting", assembler::waiting);
        metrics.gauge("updatesDeferred", assembler::deferred);
        return new UpdateDecoder(
                files,
                assembler,
                () -> JobLock.await(directory, job, run.id(), regions.manyHosts()),
                regions.manyHosts());
    }
}
