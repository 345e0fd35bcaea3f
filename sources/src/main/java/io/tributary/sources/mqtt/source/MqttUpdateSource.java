// SPDX-License-Identifier: Apache-2.0

package io.tributary.sources.mqtt.source;

import io.tributary.protocol.message.Run;
import io.tributary.protocol.message.Topics;
import io.tributary.protocol.message.TrainerEvent.SubtaskLocated;
import io.tributary.sources.base.message.MessageDecoder;
import io.tributary.sources.base.source.JobEndAwareReader;
import io.tributary.sources.base.staging.Staging;
import io.tributary.transport.mqtt.BrokerOptions;
import java.util.List;
import java.util.Optional;
import org.apache.flink.api.connector.source.SourceReaderContext;

/**
 * Updates of a job: each lane is a split, chunks are staged into regions.
 *
 * <p>Metrics of a reader, besides Flink's {@code numRecordsIn}, {@code numBytesIn} and {@code
 * numRecordsInErrors}, are those of {@link Staging}.
 */
public final class MqttUpdateSource extends MqttSource {

    private static final long serialVersionUID = 1L;

    private final String job;
    private final Run run;
    private final LayoutSupplier model;
    private final Staging staging;

    /**
     * @param run the submission of the job, which ends when its plan says so
     */
    public MqttUpdateSource(
            String job, Run run, BrokerOptions broker, LayoutSupplier model, Staging staging) {
        super(job, run, Topics.LANES, broker);
        this.job = job;
        this.run = run;
        this.model = model;
        this.staging = staging;
    }

    @Override
    List<String> filters(int lane) {
        Topics topics = new Topics(job);
        // A client that counts lanes from 1 would otherwise not be heard; the trainer is known all
        // the
        // same.
        return lane == Topics.LANES - 1
                ? List.of(topics.updateFilter(lane), topics.updateFilter(lane + 1))
                : List.of(topics.updateFilter(lane));
    }

    @Override
    protected Optional<SubtaskLocated> locate(SourceReaderContext context) {
        return Optional.of(JobEndAwareReader.locate(staging.regions(), context));
    }

    @Override
    MessageDecoder decoder(SourceReaderContext context) {
        return staging.decoder("mqtt", job, run, model.get(), false, context.metricGroup());
    }

    @Override
    String clientIdPrefix() {
        return "tributary-" + job + "-updates";
    }
}
