// SPDX-License-Identifier: Apache-2.0

package io.tributary.shm.source;

import io.tributary.memory.region.JobDirectory;
import io.tributary.node.PayloadStore;
import io.tributary.protocol.message.Run;
import io.tributary.protocol.message.Topics;
import io.tributary.protocol.message.TrainerEvent;
import io.tributary.protocol.message.TrainerEvent.SubtaskLocated;
import io.tributary.sources.base.source.JobEndAwareReader;
import io.tributary.sources.base.source.LaneSource;
import io.tributary.sources.base.source.LaneSplit;
import java.util.Optional;
import org.apache.flink.api.connector.source.SourceReaderContext;
import org.apache.flink.connector.base.source.reader.splitreader.SplitReader;

/**
 * What trainers on this host send: their updates, claimed where they lie, and what they say of
 * themselves. Each reader has one mailbox, which makes it look; a scan at the start and every few
 * seconds finds what no descriptor announced.
 *
 * <p>Metrics of a reader, besides Flink's {@code numRecordsIn}, {@code numBytesIn} and {@code
 * numRecordsInErrors}: gauge {@code mailboxConnected} (0 or 1), counters {@code descriptorsIn} and
 * {@code foundByScan}.
 */
public final class ShmUpdateSource extends LaneSource {

    private static final long serialVersionUID = 1L;

    private final String job;
    private final Run run;
    private final LayoutSupplier model;
    private final PayloadStore.Place regions;
    private final int agentPort;
    private final boolean scanAll;

    /**
     * @param job only updates for this job are taken
     * @param run the submission of the job, which ends when its plan says so
     * @param model what updates must look like
     * @param regions the region directory; where there are many hosts, each has its own trainers
     * @param agentPort where the node agent is
     * @param scanAll whether to look at all values, whatever their writers promise
     */
    public ShmUpdateSource(
            String job,
            Run run,
            LayoutSupplier model,
            PayloadStore.Place regions,
            int agentPort,
            boolean scanAll) {
        super(Topics.LANES, regions.manyHosts());
        this.job = job;
        this.run = run;
        this.model = model;
        this.regions = regions;
        this.agentPort = agentPort;
        this.scanAll = scanAll;
    }

    @Override
    protected Optional<SubtaskLocated> locate(SourceReaderContext context) {
        return Optional.of(JobEndAwareReader.locate(regions, context));
    }

    @Override
    protected SplitReader<TrainerEvent, LaneSplit> splitReader(SourceReaderContext context) {
        return new ShmSplitReader(
                job,
                run,
                JobDirectory.of(regions.path(), job),
                new UpdateInspector(job, model.get(), scanAll),
                regions.manyHosts(),
                agentPort,
                context.metricGroup());
    }
}
