// SPDX-License-Identifier: Apache-2.0

package io.tributary.testbed.cluster;

import io.tributary.job.JobEntrypoint;
import io.tributary.job.config.JobSpec;
import io.tributary.job.graph.JobTransport;
import io.tributary.job.graph.LocalFlink;
import io.tributary.job.graph.ShmTransport;
import io.tributary.job.graph.WorkDirectory;
import io.tributary.node.agent.AgentOptions;
import io.tributary.node.agent.FreePorts;
import io.tributary.node.agent.NodeAgent;
import java.io.IOException;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.Optional;
import java.util.function.Consumer;
import org.apache.flink.configuration.Configuration;

/**
 * A job in this process, with Flink and, for shared memory, a node agent of its own unless there is
 * one. It ends with the process, and goes on from nothing.
 */
public final class JobHere implements AutoCloseable {

    private final JobSpec spec;
    private final LocalFlink flink;
    private final Deque<AutoCloseable> open;

    private JobHere(JobSpec spec, LocalFlink flink, Deque<AutoCloseable> open) {
        this.spec = spec;
        this.flink = flink;
        this.open = open;
    }

    /**
     * Starts what the job needs.
     *
     * @param say told where Flink's web UI is, and how updates come
     */
    public static JobHere start(JobSpec spec, Consumer<String> say) throws Exception {
        Deque<AutoCloseable> open = new ArrayDeque<>();
        try {
            WorkDirectory work = WorkDirectory.create("here");
            open.push(work);
            for (JobTransport transport : spec.transports()) {
                if (transport instanceof ShmTransport shm && FreePorts.free(shm.agentPort())) {
                    open.push(agent(shm));
                }
            }
            LocalFlink flink = LocalFlink.start(Optional.empty(), work.path());
            open.push(flink);
            say.accept("Flink web UI: " + flink.url());
            spec.transports().forEach(t -> say.accept("trainers connect to " + t.uri()));
            return new JobHere(spec, flink, open);
        } catch (Exception e) {
            close(open);
            throw e;
        }
    }

    private static NodeAgent agent(ShmTransport shm) throws IOException {
        return NodeAgent.start(
                new AgentOptions(shm.agentPort(), AgentOptions.Bpf.AUTO, shm.regions().path()));
    }

    /** Runs the job until its rounds are done. */
    public void run() throws Exception {
        Configuration wanted = JobEntrypoint.configuration(spec);
        JobEntrypoint.ship(spec.algorithmJar(), flink.environment().getConfiguration(), wanted);
        flink.environment().configure(wanted);
        spec.build(flink.environment());
        flink.submit(spec.name());
        flink.awaitFinished();
    }

    @Override
    public void close() throws Exception {
        close(open);
    }

    private static void close(Deque<AutoCloseable> open) throws Exception {
        while (!open.isEmpty()) {
            open.pop().close();
        }
    }
}
