// SPDX-License-Identifier: Apache-2.0

package io.tributary.job.graph;

import io.tributary.operators.coordinator.RoundRules;
import io.tributary.operators.model.ModelSpec;
import io.tributary.operators.model.PublishedModel;
import io.tributary.protocol.message.Arrival;
import io.tributary.protocol.message.DeadLetter;
import io.tributary.protocol.message.Receipt;
import io.tributary.protocol.message.RoundPlan;
import io.tributary.protocol.message.RoundStatus;
import io.tributary.protocol.message.Run;
import io.tributary.shm.flow.Outlet;
import io.tributary.shm.node.RegionAccess;
import io.tributary.shm.region.JobDirectory;
import io.tributary.shm.region.RegionPool;
import io.tributary.shm.sink.ShmOutlets;
import io.tributary.shm.source.ShmUpdateSource;
import java.util.Optional;
import org.apache.flink.api.connector.source.Source;

/**
 * Shared memory, for trainers on the job's hosts.
 *
 * @param regions the region directory
 * @param quotaBytes bound for all regions of the job
 * @param agentPort where the node agent is
 */
public record ShmTransport(RegionAccess.Place regions, long quotaBytes, int agentPort)
        implements OutletTransport {

    @Override
    public String name() {
        return "shm";
    }

    @Override
    public boolean onEachHost() {
        return regions.manyHosts();
    }

    @Override
    public Source<Arrival, ?, ?> updates(
            String job, Run run, ModelSpec model, RoundRules.Timing timing) {
        return new ShmUpdateSource(
                job, run, model::layout, regions, agentPort, timing == RoundRules.Timing.LAZY);
    }

    @Override
    public Optional<Source<Arrival, ?, ?>> control(String job, Run run) {
        return Optional.empty();
    }

    @Override
    public RegionPool.Place partials(String job) {
        return new RegionPool.Place(job, regions.directory(), quotaBytes);
    }

    private ShmOutlets outlets(String job) {
        return new ShmOutlets(job, regions, quotaBytes, agentPort);
    }

    @Override
    public Outlet.Factory<RoundPlan> plans(String job) {
        return outlets(job).plans();
    }

    @Override
    public Outlet.Factory<PublishedModel> models(String job, Run run) {
        String id = run.id();
        return outlets(job).models(model -> model.in(id).description(), PublishedModel::path);
    }

    @Override
    public Outlet.Factory<Receipt> receipts(String job) {
        return outlets(job).receipts();
    }

    @Override
    public Outlet.Factory<RoundStatus> status(String job) {
        return outlets(job).status();
    }

    @Override
    public Outlet.Factory<DeadLetter> deadLetters(String job) {
        return outlets(job).deadLetters();
    }

    @Override
    public AutoCloseable follow(String job, JobListener listener) {
        return JobDirectoryFollower.start(JobDirectory.of(regions.path(), job), listener);
    }
}
