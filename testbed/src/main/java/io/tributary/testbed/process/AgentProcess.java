// SPDX-License-Identifier: Apache-2.0

package io.tributary.testbed.process;

import io.tributary.memory.mailbox.Mailbox;
import io.tributary.node.Node;
import io.tributary.node.agent.BpfRequirements;
import io.tributary.node.agent.FreePorts;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/** A node agent in a process of its own, that can be killed and started again on its port. */
public final class AgentProcess implements AutoCloseable {

    /** By its name: commands use this package, not the other way round. */
    private static final String MAIN = "io.tributary.cli.Main";

    private final Path work;
    private final List<String> arguments;
    private final Optional<NetnsHosts.Host> host;
    private final int port;
    private ChildProcess process;

    private AgentProcess(
            Path work, int port, Optional<NetnsHosts.Host> host, List<String> arguments) {
        this.work = work;
        this.port = port;
        this.host = host;
        this.arguments = arguments;
    }

    /** Starts an agent on a free port. */
    public static AgentProcess start(Path work, Path regions) {
        return start(
                work, FreePorts.next(2), Optional.empty(), List.of("--dir", regions.toString()));
    }

    /**
     * Starts an agent that is a node, on a host; the first one is joined by the others.
     *
     * @param work for its log
     * @param regions its region directory
     * @param secret what all nodes know; made by the first
     */
    public static AgentProcess start(
            Path work, Path regions, Path secret, NetnsHosts hosts, NetnsHosts.Host host) {
        List<String> arguments =
                new ArrayList<>(
                        List.of(
                                "--dir",
                                regions.toString(),
                                "--node",
                                nodeName(host),
                                "--listen",
                                host.address(),
                                "--secret",
                                secret.toString()));
        if (host.number() > 1) {
            arguments.addAll(List.of("--join", hosts.host(1).address()));
        }
        return start(work, Mailbox.DEFAULT_PORT, Optional.of(host), arguments);
    }

    /** What a host's node is called. */
    public static String nodeName(NetnsHosts.Host host) {
        return "host-" + host.number();
    }

    private static AgentProcess start(
            Path work, int port, Optional<NetnsHosts.Host> host, List<String> arguments) {
        AgentProcess agent = new AgentProcess(work, port, host, arguments);
        agent.restart();
        return agent;
    }

    /** Starts it again. Nobody waits for it: without one all goes on, a little slower. */
    public void restart() {
        List<String> all = new ArrayList<>(List.of("agent", "--port", Integer.toString(port)));
        all.addAll(arguments);
        String name = host.map(AgentProcess::nodeName).map(n -> "agent-" + n).orElse("agent");
        JavaProcess.Command command =
                JavaProcess.Command.here(
                                List.of(
                                        "-Xmx128m",
                                        "-Dtributary.log=" + work.resolve(name + ".log")),
                                MAIN,
                                all)
                        .behind(BpfRequirements.withoutSpareRights());
        process =
                JavaProcess.start(
                        host.map(command::on).orElse(command), work.resolve(name + ".out"));
    }

    /** Waits until other nodes can reach it; it must be one. */
    public void awaitNode() {
        NetnsHosts.Host its = host.orElseThrow();
        process.awaitListening(
                its.address(),
                port + Node.LISTEN_OFFSET,
                "the agent of host %d".formatted(its.number()));
    }

    /** Its port. */
    public int port() {
        return port;
    }

    /** Its process. */
    public long pid() {
        return process.pid();
    }

    /** The end of its output, for errors. */
    public String logTail() {
        return process.logTail();
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
