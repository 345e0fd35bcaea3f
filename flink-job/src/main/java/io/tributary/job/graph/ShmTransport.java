// SPDX-License-Identifier: Apache-2.0

package io.tributary.job.graph;

import io.tributary.memory.mailbox.ShmUri;
import io.tributary.memory.region.JobDirectory;
import io.tributary.memory.region.RegionPool;
import io.tributary.node.PayloadStore;
import io.tributary.operators.coordinator.RoundRules;
import io.tributary.operators.model.ModelSpec;
import io.tributary.operators.model.PublishedModel;
import io.tributary.protocol.message.DeadLetter;
import io.tributary.protocol.message.Receipt;
import io.tributary.protocol.message.RoundPlan;
import io.tributary.protocol.message.RoundStatus;
import io.tributary.protocol.message.Run;
import io.tributary.protocol.message.TrainerEvent;
import io.tributary.shm.sink.ShmEgresses;
import io.tributary.shm.source.ShmUpdateSource;
import io.tributary.sources.base.sink.Egress;
import java.util.Optional;
import org.apache.flink.api.connector.source.Source;

/**
 * Shared memory, for trainers on the job's hosts.
 *
 * @param regions the region directory
 * @param quotaBytes bound for all regions of the job
 * @param agentPort where the node agent is
 */
public record ShmTransport(PayloadStore.Place regions, long quotaBytes, int agentPort)
        implements EgressTransport {

    @Override
    public String scheme() {
        return ShmUri.SCHEME;
    }

    @Override
    public String uri() {
        return new ShmUri(Optional.of(regions.directory()), agentPort).toString();
    }

    @Override
    public boolean onEachHost() {
        return regions.manyHosts();
    }

    @Override
    public Source<TrainerEvent, ?, ?> updates(
            String job, Run run, ModelSpec model, RoundRules.Timing timing) {
        return new ShmUpdateSource(
                job, run, model::layout, regions, agentPort, timing == RoundRules.Timing.LAZY);
    }

    @Override
    public Optional<Source<TrainerEvent, ?, ?>> control(String job, Run run) {
        return Optional.empty();
    }

    @Override
    public RegionPool.Place partials(String job) {
        return new RegionPool.Place(job, regions.directory(), quotaBytes);
    }

    private ShmEgresses egresses(String job) {
        return new ShmEgresses(job, regions, quotaBytes, agentPort);
    }

    @Override
    public Egress.Factory<RoundPlan> plans(String job) {
        return egresses(job).plans();
    }

    @Override
    public Egress.Factory<PublishedModel> models(String job, Run run) {
        String id = run.id();
        return egresses(job)
                .models(model -> model.in(id).description(), model -> model.file().toString());
    }

    @Override
    public Egress.Factory<Receipt> receipts(String job) {
        return egresses(job).receipts();
    }

    @Override
    public Egress.Factory<RoundStatus> status(String job) {
        return egresses(job).status();
    }

    @Override
    public Egress.Factory<DeadLetter> deadLetters(String job) {
        return egresses(job).deadLetters();
    }

    @Override
    public AutoCloseable follow(String job, JobListener listener) {
        return JobDirectoryFollower.start(JobDirectory.of(regions.path(), job), listener);
    }
}
