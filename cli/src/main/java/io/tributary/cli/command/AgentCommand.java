// SPDX-License-Identifier: Apache-2.0

package io.tributary.cli.command;

import io.tributary.memory.mailbox.Mailbox;
import io.tributary.memory.region.RegionDirectory;
import io.tributary.memory.region.TrustedDirectory;
import io.tributary.node.Node;
import io.tributary.node.NodeSecret;
import io.tributary.node.agent.AgentException;
import io.tributary.node.agent.AgentOptions;
import io.tributary.node.agent.BpfRequirements;
import io.tributary.node.agent.FreePorts;
import io.tributary.node.agent.NodeAgent;
import io.tributary.protocol.message.Names;
import io.tributary.transport.HostPort;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.net.URI;
import java.net.UnknownHostException;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Model.OptionSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** {@code tributary agent}. */
@Command(
        name = "agent",
        description =
                "Runs this host's node agent: carries descriptors between job and trainers, reaps regions.")
public final class AgentCommand implements Callable<Integer> {

    @Spec private CommandSpec spec;

    @Option(
            names = "--port",
            paramLabel = "PORT",
            defaultValue = "" + Mailbox.DEFAULT_PORT,
            description =
                    "Where endpoints connect, on the loopback; metrics are on the next one. 0: any that is free. Default: ${DEFAULT-VALUE}.")
    private int port;

    @Option(
            names = "--bpf",
            paramLabel = "auto|require|off",
            defaultValue = "auto",
            description = "Whether descriptors stay in the kernel. Default: ${DEFAULT-VALUE}.")
    private AgentOptions.Bpf bpf;

    @Mixin private RegionArguments regions;

    /** The region directory, without links on the way. */
    private Path directory;

    @Option(
            names = "--group",
            paramLabel = "GROUP",
            description =
                    "Shares --dir with this group's users: they all may use its regions and this agent. Root makes it, once.")
    private Optional<String> group;

    @Option(
            names = "--run-as",
            paramLabel = "USER",
            description =
                    "Of root alone: whose process the agent is. It keeps what eBPF needs of root, and no more. Default: who called sudo, else root.")
    private Optional<String> runAs;

    @Option(
            names = "--node",
            paramLabel = "NAME",
            description =
                    "This host's name among others, whose regions can then be read from here, and its from there.")
    private Optional<String> node;

    @Option(
            names = "--listen",
            paramLabel = "HOST[:PORT]",
            defaultValue = "127.0.0.1",
            description =
                    "Where other nodes reach this one; port 0: any that is free. Default: ${DEFAULT-VALUE}, on the third port after --port.")
    private String listen;

    @Option(
            names = "--join",
            paramLabel = "HOST:PORT",
            description =
                    "A node to join, or a name with the addresses of several; the others are learnt from them.")
    private List<String> seeds = List.of();

    @Option(
            names = "--secret",
            paramLabel = "FILE",
            description =
                    "What all nodes know. Default: ~/.tributary/node.secret, made by a node that joins no other.")
    private Optional<Path> secretFile;

    @Option(
            names = "--job-rate",
            paramLabel = "MB/S",
            defaultValue = "0",
            description = "Bound of what is sent of each job's regions. Default: none.")
    private int jobRate;

    @Override
    public Integer call() throws Exception {
        if (Ports.requireAgentListening("--port", port) == 0) {
            port = FreePorts.next(Node.LISTEN_OFFSET + 1);
        }
        if (node.isEmpty() && !seeds.isEmpty()) {
            throw new UsageException("--join: expected --node NAME with it");
        }
        if (jobRate < 0) {
            throw new UsageException("--job-rate %d: expected 0 or more".formatted(jobRate));
        }
        requireUser();
        requireRegions();
        NodeAgent agent = NodeAgent.start(new AgentOptions(port, bpf, directory.toAbsolutePath()));
        Runtime.getRuntime().addShutdownHook(new Thread(agent::close, "agent-close"));
        System.out.printf(
                "agent on 127.0.0.1:%d, metrics on http://127.0.0.1:%d/metrics, regions in %s%ndescriptors: %s%n",
                port, port + 1, directory, agent.mode());
        if (node.isPresent()) {
            join(agent, node.get());
        }
        return agent.await() ? 0 : 1;
    }

    /** The launcher has become that user already, where it could, and has given up the rest. */
    private void requireUser() {
        String user = System.getProperty("user.name");
        if (BpfRequirements.rightsToSpare()) {
            throw new UsageException(
                    "root starts an agent as './tributary agent …', with 'agent' first, so that it gives up root's rights");
        }
        boolean another =
                runAs.filter(wanted -> !wanted.equals(user))
                        .filter(wanted -> !wanted.equals("" + TrustedDirectory.user()))
                        .isPresent();
        if (another) {
            throw new UsageException(
                    "--run-as %s: only root may become another user, this is %s"
                            .formatted(runAs.get(), user));
        }
    }

    private void requireRegions() throws IOException {
        directory = regions.directory();
        if (group.isPresent() && !TrustedDirectory.sharedWith(directory, group.get())) {
            throw new UsageException(
                    "--group %s: expected %s to be root's and the group's, with mode 3770; run this once as root"
                            .formatted(group.get(), directory));
        }
        try {
            RegionDirectory.create(directory);
            // A link on the way could lead elsewhere later.
            directory = directory.toRealPath();
        } catch (UncheckedIOException e) {
            throw new UsageException("--dir: " + e.getMessage());
        }
    }

    private void join(NodeAgent agent, String name) throws IOException {
        Path file =
                secretFile.orElse(
                        Path.of(System.getProperty("user.home"), ".tributary", "node.secret"));
        if (seeds.isEmpty()) {
            NodeSecret.create(file);
        }
        HostPort here =
                Ports.address(
                        "--listen",
                        listen,
                        text -> HostPort.parseListening(text, port + Node.LISTEN_OFFSET));
        if (InetAddress.getByName(here.host()).isAnyLocalAddress()) {
            throw new UsageException(
                    "--listen %s: expected an address by which other nodes reach this host"
                            .formatted(listen));
        }
        Node member =
                Node.start(
                        new Node.Options(
                                Names.check("node", name),
                                here.host(),
                                here.port(),
                                port + Node.LOCAL_OFFSET,
                                directory.toAbsolutePath(),
                                jobRate * 1_000_000L),
                        NodeSecret.read(file));
        Runtime.getRuntime().addShutdownHook(new Thread(() -> leave(member), "node-close"));
        agent.join(member);
        for (String seed : seeds) {
            HostPort there =
                    Ports.address(
                            "--join",
                            seed,
                            text ->
                                    HostPort.parse(
                                            text, Mailbox.DEFAULT_PORT + Node.LISTEN_OFFSET));
            if (isFar(there.host()) && InetAddress.getByName(here.host()).isLoopbackAddress()) {
                throw new UsageException(
                        "--join %s: expected --listen with an address by which it reaches this host, which it does not by %s"
                                .formatted(seed, here.host()));
            }
            member.join(there.host(), there.port());
        }
        System.out.printf(
                "node %s on %s, secret in %s%n",
                name, new HostPort(here.host(), member.address().getPort()), file);
    }

    /** A name that is not known yet is tried again later. */
    private static boolean isFar(String host) {
        try {
            return !InetAddress.getByName(host).isLoopbackAddress();
        } catch (UnknownHostException e) {
            return false;
        }
    }

    private static void leave(Node member) {
        try {
            member.close();
        } catch (IOException e) {
            System.err.println("tributary: while leaving: " + e.getMessage());
        }
    }

    /** {@code tributary agent status}. */
    @Command(name = "status", description = "Shows what a running agent has counted.")
    int status(
            @Option(
                            names = "--port",
                            paramLabel = "PORT",
                            defaultValue = "" + Mailbox.DEFAULT_PORT,
                            description = "The agent's port. Default: ${DEFAULT-VALUE}.")
                    int agentPort)
            throws IOException, InterruptedException {
        List<OptionSpec> before = spec.commandLine().getParseResult().matchedOptions();
        if (!before.isEmpty()) {
            throw new UsageException(
                    "%s stands before 'status'; write it behind: ./tributary agent status --port PORT"
                            .formatted(before.get(0).longestName()));
        }
        Ports.requireAgent("--port", agentPort);
        URI address = URI.create("http://127.0.0.1:%d/status".formatted(agentPort + 1));
        try {
            System.out.print(
                    HttpClient.newHttpClient()
                            .send(HttpRequest.newBuilder(address).build(), BodyHandlers.ofString())
                            .body());
            return 0;
        } catch (IOException e) {
            throw new AgentException(
                    "no agent on port %d; start one with ./tributary agent".formatted(agentPort),
                    e);
        }
    }
}
