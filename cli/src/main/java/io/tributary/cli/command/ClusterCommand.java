// SPDX-License-Identifier: Apache-2.0

package io.tributary.cli.command;

import io.tributary.job.cluster.ClusterUnavailableException;
import io.tributary.job.cluster.FlinkRest;
import io.tributary.memory.mailbox.Mailbox;
import io.tributary.node.Node;
import io.tributary.testbed.cluster.ClusterState;
import io.tributary.testbed.cluster.LocalCluster;
import io.tributary.testbed.process.NetnsHosts;
import io.tributary.testbed.process.ProcessIdentity;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.ScopeType;
import picocli.CommandLine.Spec;

/** {@code tributary cluster}. */
@Command(
        name = "cluster",
        description = "Runs a Flink cluster on this machine: a job manager and task managers.")
public final class ClusterCommand implements Runnable {

    /** Where a cluster is unless said otherwise. */
    public static final String DIRECTORY = "/tmp/tributary-cluster";

    @Spec private CommandSpec spec;

    @Option(
            names = "--dir",
            paramLabel = "DIR",
            defaultValue = DIRECTORY,
            scope = ScopeType.INHERIT,
            description = "Configuration, logs, temporary files. Default: ${DEFAULT-VALUE}.")
    private Path directory;

    @Override
    public void run() {
        spec.commandLine().usage(System.out);
    }

    /** {@code tributary cluster start}. */
    @Command(name = "start", description = "Starts what does not run yet, and waits for it.")
    int start(
            @Option(
                            names = "--task-managers",
                            paramLabel = "N",
                            description = "Task managers. Default: 2; with hosts one on each.")
                    Optional<Integer> taskManagers,
            @Option(
                            names = "--slots",
                            paramLabel = "N",
                            defaultValue = "2",
                            description = "Slots of each. Default: ${DEFAULT-VALUE}.")
                    int slots,
            @Option(
                            names = "--hosts",
                            paramLabel = "N",
                            description =
                                    "Runs on N hosts, made of network namespaces, with a task manager and a node agent each; root only.")
                    Optional<Integer> hosts,
            @Option(
                            names = "--link",
                            paramLabel = "RATE",
                            description = "With --hosts: rate of their links, such as 1gbit.")
                    Optional<String> link,
            @Option(
                            names = "--set",
                            paramLabel = "KEY=VALUE",
                            description =
                                    "A setting of Flink's, such as jobmanager.scheduler=adaptive; repeatable. Stays until 'cluster stop'.")
                    Map<String, String> settings) {
        Map<String, String> flink = settings == null ? cluster().settings() : settings;
        if (link.isPresent() && hosts.isEmpty()) {
            throw new UsageException("--link is the rate of the hosts' links; give --hosts too");
        }
        if (link.isPresent() && !link.get().matches("[0-9]+(\\.[0-9]+)?[kmgt]?(bit|bps)")) {
            throw new UsageException(
                    "--link %s: expected a rate such as 1gbit".formatted(link.get()));
        }
        if (hosts.isPresent() && taskManagers.isPresent()) {
            throw new UsageException("--task-managers: with --hosts there is one on each");
        }
        if (taskManagers.orElse(1) < 1) {
            throw new UsageException(
                    "--task-managers %d: expected 1 or more".formatted(taskManagers.get()));
        }
        if (slots < 1) {
            throw new UsageException("--slots %d: expected 1 or more".formatted(slots));
        }
        if (hosts.isPresent()) {
            cluster().start(hosts.get(), link, slots, flink);
        } else {
            cluster().start(taskManagers.orElse(2), slots, flink);
        }
        System.out.printf("Flink web UI: %s%n", cluster().rest().url());
        System.out.printf("Logs: %s%n", directory.resolve("log"));
        cluster()
                .state()
                .flatMap(ClusterState::hosts)
                .ifPresent(
                        there -> {
                            System.out.printf("Broker: mqtt://%s:1883%n", there.host(1).address());
                            System.out.printf(
                                    "In job.yaml: regions.node-port: %d%n",
                                    Mailbox.DEFAULT_PORT + Node.LOCAL_OFFSET);
                        });
        return 0;
    }

    /** {@code tributary cluster on}. */
    @Command(
            name = "on",
            description =
                    "Runs a command on a host, as in: cluster on 2 -- ./tributary regions nodes")
    int on(
            @Parameters(paramLabel = "K", description = "The host, from 1.") int number,
            @Parameters(
                            arity = "1..*",
                            paramLabel = "COMMAND",
                            description = "The command and its arguments, after --.")
                    List<String> command)
            throws IOException, InterruptedException {
        NetnsHosts hosts = cluster().hosts();
        requireHost(hosts, number);
        List<String> line = new ArrayList<>(hosts.host(number).enter());
        line.addAll(command);
        return new ProcessBuilder(line).inheritIO().start().waitFor();
    }

    private static void requireHost(NetnsHosts hosts, int number) {
        if (number < 1 || number > hosts.count()) {
            throw new UsageException("host %d: expected 1 to %d".formatted(number, hosts.count()));
        }
    }

    /** {@code tributary cluster cut}. */
    @Command(name = "cut", description = "Cuts a host's link; 'cluster mend' mends it.")
    int cut(@Parameters(paramLabel = "K", description = "The host, from 1.") int number) {
        requireHost(cluster().hosts(), number);
        cluster().hosts().cut(cluster().hosts().host(number));
        System.out.printf("host %d is cut off%n", number);
        return 0;
    }

    /** {@code tributary cluster mend}. */
    @Command(name = "mend", description = "Mends a host's link.")
    int mend(@Parameters(paramLabel = "K", description = "The host, from 1.") int number) {
        requireHost(cluster().hosts(), number);
        cluster().hosts().mend(cluster().hosts().host(number));
        System.out.printf("host %d is back%n", number);
        return 0;
    }

    private LocalCluster cluster() {
        return new LocalCluster(directory);
    }

    /** {@code tributary cluster status}. */
    @Command(name = "status", description = "Shows processes, slots and jobs.")
    int status() {
        var state = cluster().state();
        if (state.isEmpty()) {
            System.out.printf("no cluster was started in %s%n", directory);
            return 1;
        }
        show("job manager", state.get().jobManager());
        state.get().agents().forEach((host, agent) -> show("agent of host " + host, agent));
        if (state.get().hosts().isPresent()) {
            show("broker", state.get().broker());
        }
        for (Map.Entry<Integer, ClusterState.TaskManager> tm :
                state.get().taskManagers().entrySet()) {
            show("task manager " + tm.getKey(), tm.getValue().owner());
        }
        if (!state.get().jobManager().alive()) {
            return 1;
        }
        try {
            FlinkRest rest = cluster().rest();
            System.out.printf("web UI           %s%n", rest.url());
            Map<String, Integer> slots = rest.slots();
            System.out.printf(
                    "slots            %d, %d free%n", slots.get("total"), slots.get("free"));
            rest.jobs().forEach(job -> show(job, rest));
            return 0;
        } catch (ClusterUnavailableException e) {
            System.out.println("the job manager does not answer yet");
            return 1;
        }
    }

    private static void show(FlinkRest.Job job, FlinkRest rest) {
        System.out.printf("job %s %-9s %s%n", job.id(), job.state(), job.name());
        if (!List.of("FINISHED", "CANCELED").contains(job.state())) {
            rest.failure(job.id())
                    .ifPresent(
                            why ->
                                    System.out.printf(
                                            "    %s: %s%n",
                                            job.live() ? "has restarted" : "failed", why));
        }
    }

    private static void show(String what, ProcessIdentity owner) {
        System.out.printf(
                "%-16s process %d, %s%n", what, owner.pid(), owner.alive() ? "running" : "dead");
    }

    /** {@code tributary cluster kill-task-manager}. */
    @Command(
            name = "kill-task-manager",
            description = "Kills a task manager; 'cluster start' starts it again.")
    int killTaskManager(
            @Parameters(paramLabel = "K", description = "Its number, from 1.") int number) {
        cluster().killTaskManager(number);
        System.out.printf("task manager %d is dead%n", number);
        return 0;
    }

    /** {@code tributary cluster stop}. */
    @Command(name = "stop", description = "Ends all processes.")
    int stop() {
        if (cluster().state().isEmpty()) {
            throw new UsageException("--dir %s: no cluster was started there".formatted(directory));
        }
        cluster().stop();
        System.out.println("stopped");
        return 0;
    }
}
