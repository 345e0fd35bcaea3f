// SPDX-License-Identifier: Apache-2.0

package io.tributary.testbed.cluster;

import io.tributary.job.cluster.ClusterUnavailableException;
import io.tributary.job.cluster.FlinkRest;
import io.tributary.job.cluster.FlinkRestException;
import io.tributary.job.graph.JobTransport;
import io.tributary.job.graph.LocalFlink;
import io.tributary.job.graph.ShmTransport;
import io.tributary.node.PayloadStore;
import io.tributary.node.agent.FreePorts;
import io.tributary.protocol.Json;
import io.tributary.testbed.process.ChildProcess;
import io.tributary.testbed.process.NetnsHosts;
import io.tributary.testbed.process.ProcessIdentity;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;

/**
 * A Flink session cluster on this machine: a job manager and some task managers, each a process of
 * its own, that outlive whoever started them. What runs is written down in its directory, so any
 * process may look after it.
 */
public final class LocalCluster {

    /** What of ours, and of our libraries, must exist once in a process, whatever jobs it runs. */
    public static final String PARENT_FIRST =
            "io.tributary.protocol.;io.tributary.transport.;io.tributary.memory.;io.tributary.node.;com.fasterxml.jackson.;com.sun.jna.;org.apache.kafka.;org.eclipse.paho.;org.yaml.";

    private static final long START_SECONDS = 180;

    private static final long STUCK_SECONDS = 60;

    private static final long END_SECONDS = 20;

    private final Path directory;
    private final long stuckSeconds;

    /**
     * @param directory where configuration, logs and temporary files are
     */
    public LocalCluster(Path directory) {
        this(directory, STUCK_SECONDS);
    }

    /**
     * @param stuckSeconds after which a task manager that has not registered is started again, once
     */
    LocalCluster(Path directory, long stuckSeconds) {
        this.directory = directory.toAbsolutePath();
        this.stuckSeconds = stuckSeconds;
    }

    /** What is written down; empty where no cluster was started. */
    public Optional<ClusterState> state() {
        Path file = directory.resolve("cluster.json");
        try {
            return Files.exists(file)
                    ? Optional.of(Json.decode(Files.readAllBytes(file), ClusterState.class))
                    : Optional.empty();
        } catch (IOException e) {
            throw new UncheckedIOException(file + " cannot be read", e);
        }
    }

    /** What of Flink's configuration is other than usual. */
    public Map<String, String> settings() {
        return state().map(ClusterState::settings).orElse(Map.of());
    }

    private ClusterState running() {
        return state().filter(s -> s.jobManager().alive())
                .orElseThrow(
                        () ->
                                new IllegalArgumentException(
                                        "no cluster runs in %s; start one with './tributary cluster start --dir %s'"
                                                .formatted(directory, directory)));
    }

    /** The REST API of the cluster that runs. */
    public FlinkRest rest() {
        return rest(running());
    }

    private FlinkRest rest(ClusterState state) {
        return new FlinkRest("%s:%d".formatted(processes(state).address(), state.restPort()));
    }

    private FlinkProcesses processes(ClusterState state) {
        return new FlinkProcesses(directory, state.hosts());
    }

    /** The hosts that there are. */
    public NetnsHosts hosts() {
        return running()
                .hosts()
                .orElseThrow(
                        () ->
                                new IllegalArgumentException(
                                        "the cluster in %s has no hosts of its own; start one with --hosts"
                                                .formatted(directory)));
    }

    /**
     * A transport as this machine sees it: what is in memory on the first host is elsewhere here.
     */
    public JobTransport seen(JobTransport transport) {
        Optional<NetnsHosts> hosts = state().flatMap(ClusterState::hosts);
        if (hosts.isEmpty() || !(transport instanceof ShmTransport shm)) {
            return transport;
        }
        Path directory = shm.regions().path();
        return new ShmTransport(
                new PayloadStore.Place(hosts.get().host(1).seen(directory).toString()),
                shm.quotaBytes(),
                shm.agentPort());
    }

    /**
     * The same on hosts of its own, a task manager and an agent on each.
     *
     * @param rate of their links, as tc writes it
     */
    public ClusterState start(
            int hosts, Optional<String> rate, int slots, Map<String, String> settings) {
        FlinkProcesses.requireOthers(settings);
        Optional<NetnsHosts> there = state().flatMap(ClusterState::hosts).filter(NetnsHosts::exist);
        if (there.isPresent() && there.get().count() != hosts) {
            throw new IllegalArgumentException(
                    "the cluster in %s has %d hosts; stop it first"
                            .formatted(directory, there.get().count()));
        }
        if (there.isEmpty()) {
            if (state().filter(s -> s.jobManager().alive()).isPresent()) {
                throw new IllegalArgumentException(
                        "the cluster in %s runs without hosts; stop it first".formatted(directory));
            }
            save(fresh(slots, Optional.of(NetnsHosts.create(hosts, rate)), settings));
        }
        return start(hosts, slots, settings);
    }

    private static ClusterState fresh(
            int slots, Optional<NetnsHosts> hosts, Map<String, String> settings) {
        return new ClusterState(
                LocalFlink.freeUiPort(),
                FreePorts.next(),
                slots,
                ProcessIdentity.NOBODY,
                new TreeMap<>(),
                hosts.stream().toList(),
                new TreeMap<>(),
                ProcessIdentity.NOBODY,
                settings);
    }

    /** The same with the settings that it has, or the usual ones. */
    public ClusterState start(int taskManagers, int slots) {
        return start(taskManagers, slots, settings());
    }

    /**
     * Starts what does not run yet: a job manager, and task managers 1 to {@code taskManagers}.
     * Returns when all have registered. Ports stay the same for the life of the directory.
     *
     * @param settings what of Flink's configuration is to be other than usual; may change while no
     *     job manager runs
     */
    public ClusterState start(int taskManagers, int slots, Map<String, String> settings) {
        FlinkProcesses.requireOthers(settings);
        ClusterState state = state().orElseGet(() -> fresh(slots, Optional.empty(), settings));
        if (!state.settings().equals(settings)) {
            if (state.jobManager().alive()) {
                throw new IllegalArgumentException(
                        "the cluster in %s runs with other settings of Flink, %s; stop it first"
                                .formatted(directory, state.settings()));
            }
            state = state.with(settings);
        }
        if (state.hosts().isPresent()) {
            HostServices services = new HostServices(directory, state.hosts().get());
            for (int number = 1; number <= state.hosts().get().count(); number++) {
                if (!state.agents().getOrDefault(number, ProcessIdentity.NOBODY).alive()) {
                    state.agents().put(number, services.startAgent(number));
                    save(state);
                }
            }
            if (!state.broker().alive()) {
                state = state.with(state.jobManager(), services.startBroker());
                save(state);
            }
        }
        if (!state.jobManager().alive()) {
            processes(state).configure(state.restPort(), state.rpcPort(), slots, state.settings());
            state = state.with(owner(processes(state).startJobManager()), state.broker());
            save(state);
        }
        int wanted = state.hosts().map(NetnsHosts::count).orElse(taskManagers);
        for (int number = 1; number <= wanted; number++) {
            ClusterState.TaskManager there = state.taskManagers().get(number);
            if (there == null || !there.owner().alive()) {
                startTaskManager(state, number);
            }
        }
        awaitRegistered(state);
        return state;
    }

    private void startTaskManager(ClusterState state, int number) {
        // Unique, because one that was killed is remembered for a while.
        String id = "task-manager-%d-%d".formatted(number, System.currentTimeMillis());
        ProcessIdentity owner = owner(processes(state).startTaskManager(number, id));
        state.taskManagers().put(number, new ClusterState.TaskManager(id, owner));
        save(state);
    }

    private static ProcessIdentity owner(ChildProcess process) {
        return ProcessIdentity.of(process.pid());
    }

    private void save(ClusterState state) {
        try {
            Files.createDirectories(directory);
            Path file = directory.resolve("cluster.json");
            Files.write(file, (Json.pretty(state) + "\n").getBytes());
            Files.setPosixFilePermissions(file, PosixFilePermissions.fromString("rw-------"));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private void awaitRegistered(ClusterState state) {
        FlinkRest rest = rest(state);
        long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(START_SECONDS);
        long stuck = System.nanoTime() + TimeUnit.SECONDS.toNanos(stuckSeconds);
        List<String> missing = missing(rest, state);
        while (!missing.isEmpty()) {
            if (!state.jobManager().alive()) {
                throw new IllegalStateException(
                        "the cluster does not start, the job manager has ended (%s); see the logs in %s"
                                .formatted(
                                        processes(state).jobManagerCause(),
                                        directory.resolve("log")));
            }
            if (System.nanoTime() > end) {
                throw new IllegalStateException(
                        "the cluster does not start, %s did not register within %d s; see the logs in %s"
                                .formatted(missing, START_SECONDS, directory.resolve("log")));
            }
            if (System.nanoTime() > stuck) {
                startAgain(state, missing);
                stuck = end;
            }
            ChildProcess.pause();
            missing = missing(rest, state);
        }
    }

    /**
     * A task manager whose job manager is killed while it registers goes on asking for the dead
     * one, until Flink's {@code taskmanager.registration.timeout} of 5 minutes ends it.
     */
    private void startAgain(ClusterState state, List<String> ids) {
        for (Map.Entry<Integer, ClusterState.TaskManager> one :
                Map.copyOf(state.taskManagers()).entrySet()) {
            if (ids.contains(one.getValue().id())) {
                end(one.getValue().owner(), true);
                startTaskManager(state, one.getKey());
            }
        }
    }

    /** Task managers that live and have not registered, or the job manager when it is not there. */
    private static List<String> missing(FlinkRest rest, ClusterState state) {
        try {
            List<String> there = rest.taskManagers();
            return state.taskManagers().values().stream()
                    .filter(tm -> tm.owner().alive())
                    .map(ClusterState.TaskManager::id)
                    .filter(id -> !there.contains(id))
                    .toList();
        } catch (ClusterUnavailableException | FlinkRestException e) {
            return List.of("the job manager");
        }
    }

    /** Ends a task manager as a crash would. */
    public void killTaskManager(int number) {
        ClusterState state = running();
        ClusterState.TaskManager there = state.taskManagers().get(number);
        if (there == null || !there.owner().alive()) {
            throw new IllegalArgumentException(
                    "task manager %d does not run; these do: %s"
                            .formatted(
                                    number,
                                    state.taskManagers().entrySet().stream()
                                            .filter(tm -> tm.getValue().owner().alive())
                                            .map(Map.Entry::getKey)
                                            .toList()));
        }
        end(there.owner(), true);
    }

    /** Ends the job manager as a crash would. */
    public void killJobManager() {
        end(running().jobManager(), true);
    }

    /**
     * Ends all that runs on a host but for the job manager and the broker, as when it crashes: its
     * memory is lost too.
     */
    public void killHost(int number) {
        ClusterState state = running();
        NetnsHosts hosts = hosts();
        end(state.taskManagers().get(number).owner(), true);
        end(state.agents().get(number), true);
        hosts.forget(hosts.host(number));
    }

    /** Ends a host's node agent as a crash would. */
    public void killAgent(int number) {
        end(running().agents().get(number), true);
    }

    /** Ends all processes, and removes the hosts. */
    public void stop() {
        state().ifPresent(
                        state -> {
                            state.taskManagers().values().forEach(tm -> end(tm.owner(), false));
                            end(state.jobManager(), false);
                            state.agents().values().forEach(agent -> end(agent, false));
                            end(state.broker(), false);
                            if (state.hosts().isPresent()) {
                                state.hosts().get().delete();
                                forget();
                            } else {
                                save(state.with(Map.of()));
                            }
                        });
    }

    /** The next start may be another cluster, with hosts or without. */
    private void forget() {
        try {
            Files.deleteIfExists(directory.resolve("cluster.json"));
            Files.deleteIfExists(directory.resolve("node.secret"));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static void end(ProcessIdentity owner, boolean forcibly) {
        if (!owner.alive()) {
            return;
        }
        ProcessHandle process = ProcessHandle.of(owner.pid()).orElseThrow();
        if (forcibly) {
            process.destroyForcibly();
        } else {
            process.destroy();
        }
        try {
            process.onExit().get(END_SECONDS, TimeUnit.SECONDS);
        } catch (java.util.concurrent.TimeoutException e) {
            process.destroyForcibly();
            process.onExit().join();
        } catch (InterruptedException | java.util.concurrent.ExecutionException e) {
            throw new IllegalStateException("process %d does not end".formatted(owner.pid()), e);
        }
    }
}
