// SPDX-License-Identifier: Apache-2.0

package io.tributary.job.process;

import io.tributary.job.demo.EmbeddedBroker;
import io.tributary.shm.agent.AgentOptions;
import io.tributary.shm.agent.NodeAgent;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;

/** A node agent in a process of its own, that can be killed and started again on its port. */
public final class AgentProcess implements AutoCloseable {

    private final Path work;
    private final Path regions;
    private final int port = EmbeddedBroker.freePort();
    private JavaProcess process;

    private AgentProcess(Path work, Path regions) {
        this.work = work;
        this.regions = regions;
    }

    /** The agent itself; arguments: port, region directory. */
    public static void main(String[] args) throws IOException, InterruptedException {
        Path regions = Path.of(args[1]);
        int user = (int) Files.getAttribute(regions, "unix:uid");
        try (NodeAgent ignored =
                NodeAgent.start(
                        new AgentOptions(
                                Integer.parseInt(args[0]),
                                AgentOptions.Bpf.AUTO,
                                regions,
                                Set.of(user)))) {
            Thread.currentThread().join();
        }
    }

    /** Starts an agent on a free port. */
    public static AgentProcess start(Path work, Path regions) {
        AgentProcess agent = new AgentProcess(work, regions);
        agent.restart();
        return agent;
    }

    /** Starts it again. Nobody waits for it: without one all goes on, a little slower. */
    public void restart() {
        process =
                JavaProcess.start(
                        JavaProcess.Command.here(
                                List.of("-Xmx128m", "-Dtributary.log=" + work.resolve("agent.log")),
                                AgentProcess.class.getName(),
                                List.of(Integer.toString(port), regions.toString())),
                        work.resolve("agent.out"));
    }

    /** Its port. */
    public int port() {
        return port;
    }

    /** Ends it as a crash would. */
    public void kill() {
        process.kill();
    }

    @Override
    public void close() {
        process.close();
    }
}
