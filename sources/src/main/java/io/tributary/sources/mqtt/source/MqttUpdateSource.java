// SPDX-License-Identifier: Apache-2.0

package io.tributary.sources.mqtt.source;

import io.tributary.protocol.message.Topics;
import io.tributary.protocol.mqtt.BrokerOptions;
import io.tributary.shm.region.JobDirectory;
import io.tributary.sources.mqtt.source.reader.MessageDecoder;
import io.tributary.sources.mqtt.source.reader.UpdateDecoder;
import io.tributary.sources.staging.ChunkAssembler;
import java.io.Serializable;
import java.nio.file.Path;
import java.time.Duration;
import org.apache.flink.api.connector.source.SourceReaderContext;
import org.apache.flink.metrics.MetricGroup;

/**
 * Updates of a job: each lane is a split, chunks are staged into regions.
 *
 * <p>Metrics of a reader, besides Flink's {@code numRecordsIn}, {@code numBytesIn} and {@code
 * numRecordsInErrors}: gauges {@code updatesStaging}, {@code chunksWaiting} for room, {@code
 * chunksForgotten} for want of it.
 */
public final class MqttUpdateSource extends MqttSource {

    private static final long serialVersionUID = 1L;

    /** Half of what the broker may send, so that waiting chunks never keep others from coming. */
    private static final int MAX_WAITING = 16;

    private final String job;
    private final LayoutSupplier model;
    private final Staging staging;

    /**
     * Where updates are staged.
     *
     * @param directory the region directory; the job has one of its own below it
     * @param quotaBytes bound for all regions of the job
     * @param idle time without a chunk after which an unfinished update is thrown away
     */
    public record Staging(String directory, long quotaBytes, Duration idle)
            implements Serializable {}

    public MqttUpdateSource(
            String job, BrokerOptions broker, LayoutSupplier model, Staging staging) {
        super(Topics.LANES, broker);
        this.job = job;
        this.model = model;
        this.staging = staging;
    }

    @Override
    String filter(int lane) {
        return new Topics(job).updateFilter(lane);
    }

    @Override
    MessageDecoder decoder(SourceReaderContext context) {
        JobDirectory directory = JobDirectory.of(Path.of(staging.directory()), job);
        ChunkAssembler assembler =
                new ChunkAssembler(
                        job,
                        model.get(),
                        directory.regions(staging.quotaBytes()),
                        MAX_WAITING,
                        staging.idle(),
                        System::nanoTime);
        MetricGroup metrics = context.metricGroup();
        metrics.gauge("updatesStaging", assembler::staging);
        metrics.gauge("chunksWaiting", assembler::waiting);
        metrics.gauge("chunksForgotten", assembler::forgotten);
        return new UpdateDecoder(directory, assembler);
    }

    @Override
    String clientIdPrefix() {
        return "tributary-" + job + "-updates";
    }
}
