// SPDX-License-Identifier: Apache-2.0

package io.tributary.testbed.transport;

import io.tributary.job.graph.JobTransport;
import io.tributary.job.graph.ShmTransport;
import io.tributary.job.graph.WorkDirectory;
import io.tributary.memory.kernel.FoldKernel;
import io.tributary.memory.region.SharedMemory;
import io.tributary.node.PayloadStore;
import io.tributary.node.agent.AgentOptions;
import io.tributary.node.agent.FreePorts;
import io.tributary.node.agent.NodeAgent;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Optional;

/** Shared memory, with a node agent of its own. */
final class ManagedShm implements ManagedTransport {

    private final WorkDirectory directory;
    private final long quotaBytes;
    private final int port;
    private final NodeAgent agent;

    /**
     * @param parent where regions are made
     */
    ManagedShm(Path parent, long quotaBytes) throws IOException {
        this.directory = WorkDirectory.create(parent, "demo");
        this.quotaBytes = quotaBytes;
        this.port = FreePorts.next(2);
        this.agent =
                NodeAgent.start(new AgentOptions(port, AgentOptions.Bpf.AUTO, directory.path()));
    }

    @Override
    public JobTransport forJob() {
        return new ShmTransport(
                new PayloadStore.Place(directory.path().toString()), quotaBytes, port);
    }

    @Override
    public String description() {
        SharedMemory memory = SharedMemory.of(directory.path());
        return description(
                directory.path(),
                memory.enough() ? Optional.empty() : Optional.of(memory.description()),
                agent.mode(),
                FoldKernel.description());
    }

    /** What is slower here than it could be is said, with what to do. */
    static String description(Path directory, Optional<String> memory, String mode, String fold) {
        return "Shared memory: %s%s%nDescriptors:   %s%nFold:          %s"
                .formatted(directory, memory.map(found -> "; " + found).orElse(""), mode, fold);
    }

    @Override
    public void close() {
        agent.close();
        directory.close();
    }
}
