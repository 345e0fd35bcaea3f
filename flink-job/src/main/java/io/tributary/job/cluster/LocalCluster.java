// SPDX-License-Identifier: Apache-2.0

package io.tributary.job.cluster;

import io.tributary.job.demo.EmbeddedBroker;
import io.tributary.job.graph.LocalFlink;
import io.tributary.job.process.JavaProcess;
import io.tributary.protocol.Json;
import io.tributary.shm.region.Owner;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.GlobalConfiguration;
import org.apache.flink.runtime.clusterframework.TaskExecutorProcessSpec;
import org.apache.flink.runtime.clusterframework.TaskExecutorProcessUtils;
import org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint;
import org.apache.flink.runtime.jobmanager.JobManagerProcessSpec;
import org.apache.flink.runtime.jobmanager.JobManagerProcessUtils;
import org.apache.flink.runtime.taskexecutor.TaskManagerRunner;
import org.apache.flink.runtime.util.config.memory.ProcessMemoryUtils;

/**
 * A Flink session cluster on this machine: a job manager and some task managers, each a process of
 * its own, that outlive whoever started them. What runs is written down in its directory, so any
 * process may look after it.
 */
public final class LocalCluster {

    /** What of ours, and of our libraries, must exist once in a process, whatever jobs it runs. */
    public static final String PARENT_FIRST =
            "io.tributary.protocol.;io.tributary.shm.;com.fasterxml.jackson.;com.sun.jna.;org.bytedeco.;org.apache.kafka.;org.eclipse.paho.;org.yaml.";

    private static final long START_SECONDS = 180;
    private static final long END_SECONDS = 20;

    private final Path directory;

    /**
     * @param directory where configuration, logs and temporary files are
     */
    public LocalCluster(Path directory) {
        this.directory = directory.toAbsolutePath();
    }

    /**
     * What there is of a cluster.
     *
     * @param restPort port of the REST API and the web UI
     * @param rpcPort port where task managers find the job manager
     * @param slots slots of each task manager
     * @param jobManager the job manager's process
     * @param taskManagers the task managers' processes by number, from 1
     */
    public record State(
            int restPort,
            int rpcPort,
            int slots,
            Owner jobManager,
            TreeMap<Integer, TaskManager> taskManagers) {}

    /**
     * A task manager.
     *
     * @param id what Flink calls it
     * @param owner its process
     */
    public record TaskManager(String id, Owner owner) {}

    /** What is written down; empty where no cluster was started. */
    public Optional<State> state() {
        Path file = directory.resolve("cluster.json");
        try {
            return Files.exists(file)
                    ? Optional.of(Json.decode(Files.readAllBytes(file), State.class))
                    : Optional.empty();
        } catch (IOException e) {
            throw new UncheckedIOException(file + " cannot be read", e);
        }
    }

    private State running() {
        return state().filter(s -> s.jobManager().alive())
                .orElseThrow(
                        () ->
                                new IllegalArgumentException(
                                        "no cluster runs in %s; start one with './tributary cluster start --dir %s'"
                                                .formatted(directory, directory)));
    }

    /** The REST API of the cluster that runs. */
    public FlinkRest rest() {
        return new FlinkRest("127.0.0.1:" + running().restPort());
    }

    /**
     * Starts what does not run yet: a job manager, and task managers 1 to {@code taskManagers}.
     * Returns when all have registered. Ports stay the same for the life of the directory.
     */
    public State start(int taskManagers, int slots) {
        State state =
                state().orElseGet(
                                () ->
                                        new State(
                                                LocalFlink.freeUiPort(),
                                                EmbeddedBroker.freePort(),
                                                slots,
                                                new Owner(-1, 1),
                                                new TreeMap<>()));
        if (!state.jobManager().alive()) {
            configure(state, slots);
            state =
                    new State(
                            state.restPort(),
                            state.rpcPort(),
                            slots,
                            owner(startJobManager()),
                            state.taskManagers());
            save(state);
        }
        for (int number = 1; number <= taskManagers; number++) {
            TaskManager there = state.taskManagers().get(number);
            if (there == null || !there.owner().alive()) {
                // Unique, because one that was killed is remembered for a while.
                String id = "task-manager-%d-%d".formatted(number, System.currentTimeMillis());
                state.taskManagers()
                        .put(number, new TaskManager(id, owner(startTaskManager(number, id))));
                save(state);
            }
        }
        awaitRegistered(state);
        return state;
    }

    private static Owner owner(JavaProcess process) {
        return Owner.of(process.pid());
    }

    private void save(State state) {
        try {
            Files.write(directory.resolve("cluster.json"), (Json.pretty(state) + "\n").getBytes());
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private void configure(State state, int slots) {
        Map<String, Object> all = new LinkedHashMap<>();
        all.put("jobmanager.rpc.address", "127.0.0.1");
        all.put("jobmanager.rpc.port", state.rpcPort());
        all.put("jobmanager.bind-host", "127.0.0.1");
        all.put("jobmanager.memory.process.size", "1g");
        all.put("rest.address", "127.0.0.1");
        all.put("rest.bind-address", "127.0.0.1");
        all.put("rest.port", state.restPort());
        all.put("taskmanager.host", "127.0.0.1");
        all.put("taskmanager.bind-host", "127.0.0.1");
        all.put("taskmanager.numberOfTaskSlots", slots);
        all.put("taskmanager.memory.task.heap.size", "768m");
        all.put("taskmanager.memory.task.off-heap.size", "256m");
        // State is on the heap.
        all.put("taskmanager.memory.managed.size", "0");
        all.put("taskmanager.memory.network.min", "128m");
        all.put("taskmanager.memory.network.max", "128m");
        all.put("classloader.parent-first-patterns.additional", PARENT_FIRST);
        // A process that was killed is to be missed soon.
        all.put("heartbeat.interval", "1 s");
        all.put("heartbeat.timeout", "8 s");
        all.put("cluster.evenly-spread-out-slots", true);
        all.put("io.tmp.dirs", directory.resolve("tmp").toString());
        all.put("web.tmpdir", directory.resolve("tmp").toString());
        StringBuilder yaml = new StringBuilder();
        all.forEach((key, value) -> yaml.append(key).append(": \"").append(value).append("\"\n"));
        try {
            Files.createDirectories(directory.resolve("conf"));
            Files.createDirectories(directory.resolve("tmp"));
            Files.writeString(directory.resolve("conf/config.yaml"), yaml);
            try (InputStream logging =
                    LocalCluster.class.getResourceAsStream("/cluster-logback.xml")) {
                Files.write(directory.resolve("conf/logback.xml"), logging.readAllBytes());
            }
        } catch (IOException e) {
            throw new UncheckedIOException("the cluster cannot be configured", e);
        }
    }

    private Configuration configuration() {
        return GlobalConfiguration.loadConfiguration(directory.resolve("conf").toString());
    }

    private JavaProcess startJobManager() {
        JobManagerProcessSpec spec = JobManagerProcessUtils.processSpecFromConfig(configuration());
        List<String> arguments = new ArrayList<>();
        arguments.addAll(List.of("--configDir", directory.resolve("conf").toString()));
        arguments.addAll(words(JobManagerProcessUtils.generateDynamicConfigsStr(spec)));
        return start(
                "job-manager",
                JobManagerProcessUtils.generateJvmParametersStr(spec, configuration()),
                StandaloneSessionClusterEntrypoint.class,
                arguments);
    }

    private JavaProcess startTaskManager(int number, String id) {
        TaskExecutorProcessSpec spec =
                TaskExecutorProcessUtils.processSpecFromConfig(configuration());
        List<String> arguments = new ArrayList<>();
        arguments.addAll(List.of("--configDir", directory.resolve("conf").toString()));
        arguments.addAll(words(TaskExecutorProcessUtils.generateDynamicConfigsStr(spec)));
        arguments.addAll(List.of("-D", "taskmanager.resource-id=" + id));
        return start(
                "task-manager-" + number,
                ProcessMemoryUtils.generateJvmParametersStr(spec),
                TaskManagerRunner.class,
                arguments);
    }

    private static List<String> words(String text) {
        return Arrays.stream(text.trim().split("\\s+")).filter(w -> !w.isEmpty()).toList();
    }

    private JavaProcess start(String name, String jvm, Class<?> main, List<String> arguments) {
        List<String> all = new ArrayList<>(words(jvm));
        all.add("-Dlog.file=" + directory.resolve("log").resolve(name + ".log"));
        all.add("-Dlogback.configurationFile=" + directory.resolve("conf/logback.xml"));
        return JavaProcess.start(
                new JavaProcess.Command(
                        List.of(), Distribution.clusterClasspath(), all, main.getName(), arguments),
                directory.resolve("log").resolve(name + ".out"));
    }

    private void awaitRegistered(State state) {
        FlinkRest rest = new FlinkRest("127.0.0.1:" + state.restPort());
        long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(START_SECONDS);
        List<String> missing = missing(rest, state);
        while (!missing.isEmpty()) {
            if (!state.jobManager().alive() || System.nanoTime() > end) {
                throw new IllegalStateException(
                        "the cluster does not start, %s did not register within %d s; see the logs in %s"
                                .formatted(missing, START_SECONDS, directory.resolve("log")));
            }
            pause();
            missing = missing(rest, state);
        }
    }

    /** Task managers that live and have not registered, or the job manager when it is not there. */
    private static List<String> missing(FlinkRest rest, State state) {
        try {
            List<String> there = rest.taskManagers();
            return state.taskManagers().values().stream()
                    .filter(tm -> tm.owner().alive())
                    .map(TaskManager::id)
                    .filter(id -> !there.contains(id))
                    .toList();
        } catch (ClusterUnavailableException | FlinkRestException e) {
            return List.of("the job manager");
        }
    }

    private static void pause() {
        try {
            Thread.sleep(100);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException("interrupted while waiting for the cluster", e);
        }
    }

    /** Ends a task manager as a crash would. */
    public void killTaskManager(int number) {
        State state = running();
        TaskManager there = state.taskManagers().get(number);
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

    /** Ends all processes. */
    public void stop() {
        state().ifPresent(
                        state -> {
                            state.taskManagers().values().forEach(tm -> end(tm.owner(), false));
                            end(state.jobManager(), false);
                        });
    }

    private static void end(Owner owner, boolean forcibly) {
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
