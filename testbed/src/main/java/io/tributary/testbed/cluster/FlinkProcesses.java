// SPDX-License-Identifier: Apache-2.0

package io.tributary.testbed.cluster;

import io.tributary.job.cluster.Distribution;
import io.tributary.protocol.Json;
import io.tributary.testbed.process.ChildProcess;
import io.tributary.testbed.process.JavaProcess;
import io.tributary.testbed.process.NetnsHosts;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Stream;
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
 * Starts Flink's own processes.
 *
 * @param directory where configuration, logs and temporary files are
 * @param hosts where they run: the job manager on the first; without, all on this machine
 */
record FlinkProcesses(Path directory, Optional<NetnsHosts> hosts) {

    private static final String JOB_MANAGER = "job-manager";

    /** How a line of a stack trace begins that names one. */
    private static final String CAUSE = "Caused by: ";

    private static final String LOOPBACK = "127.0.0.1";

    /** Where the job manager is. */
    String address() {
        return hosts.map(h -> h.host(1).address()).orElse(LOOPBACK);
    }

    private String address(int taskManager) {
        return hosts.map(h -> h.host(taskManager).address()).orElse(LOOPBACK);
    }

    /** Where processes find each other, which the cluster decides itself. */
    private static final Set<String> OWN =
            Set.of(
                    "jobmanager.rpc.address",
                    "jobmanager.rpc.port",
                    "jobmanager.bind-host",
                    "rest.address",
                    "rest.bind-address",
                    "rest.port",
                    "taskmanager.numberOfTaskSlots");

    /**
     * Checks settings of Flink's.
     *
     * @throws IllegalArgumentException when the cluster makes one of them itself
     */
    static void requireOthers(Map<String, String> settings) {
        settings.keySet().stream()
                .filter(OWN::contains)
                .findFirst()
                .ifPresent(
                        key -> {
                            throw new IllegalArgumentException(
                                    "--set %s: the cluster sets that itself".formatted(key));
                        });
    }

    void configure(int restPort, int rpcPort, int slots, Map<String, String> settings) {
        Map<String, Object> all = new LinkedHashMap<>();
        all.put("jobmanager.rpc.address", address());
        all.put("jobmanager.rpc.port", rpcPort);
        all.put("jobmanager.bind-host", address());
        all.put("jobmanager.memory.process.size", "1g");
        all.put("rest.address", address());
        all.put("rest.bind-address", address());
        all.put("rest.port", restPort);
        all.put("taskmanager.numberOfTaskSlots", slots);
        all.put("taskmanager.memory.task.heap.size", "768m");
        all.put("taskmanager.memory.task.off-heap.size", "256m");
        // For the sums that do not lie in regions; state is on the heap.
        all.put("taskmanager.memory.managed.size", "512m");
        all.put("taskmanager.memory.network.min", "128m");
        all.put("taskmanager.memory.network.max", "128m");
        all.put("classloader.parent-first-patterns.additional", LocalCluster.PARENT_FIRST);
        // A process that was killed is to be missed soon.
        all.put("heartbeat.interval", "1 s");
        all.put("heartbeat.timeout", "8 s");
        // Metrics that are looked at are to be those of now.
        all.put("metrics.fetcher.update-interval", "500 ms");
        all.put("cluster.evenly-spread-out-slots", true);
        all.put("io.tmp.dirs", directory.resolve("tmp").toString());
        all.put("web.tmpdir", directory.resolve("tmp").toString());
        all.putAll(settings);
        try {
            Files.createDirectories(directory.resolve("conf"));
            Files.createDirectories(directory.resolve("tmp"));
            // JSON is YAML.
            Path file = directory.resolve("conf/config.yaml");
            Files.writeString(file, Json.pretty(all));
            // Settings may be passwords of a store.
            Files.setPosixFilePermissions(file, PosixFilePermissions.fromString("rw-------"));
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

    ChildProcess startJobManager() {
        JobManagerProcessSpec spec = JobManagerProcessUtils.processSpecFromConfig(configuration());
        List<String> arguments = new ArrayList<>();
        arguments.addAll(List.of("--configDir", directory.resolve("conf").toString()));
        arguments.addAll(words(JobManagerProcessUtils.generateDynamicConfigsStr(spec)));
        return start(
                1,
                JOB_MANAGER,
                JobManagerProcessUtils.generateJvmParametersStr(spec, configuration()),
                StandaloneSessionClusterEntrypoint.class,
                arguments);
    }

    /** What the job manager's log names as the cause of its last failure. */
    String jobManagerCause() {
        try (Stream<String> lines =
                Files.lines(directory.resolve("log").resolve(JOB_MANAGER + ".log"))) {
            return lines.filter(line -> line.startsWith(CAUSE))
                    .reduce((earlier, last) -> last)
                    .map(line -> line.substring(CAUSE.length()))
                    .orElse("its log has no cause");
        } catch (IOException | UncheckedIOException e) {
            return "its log cannot be read: " + e.getMessage();
        }
    }

    ChildProcess startTaskManager(int number, String id) {
        TaskExecutorProcessSpec spec =
                TaskExecutorProcessUtils.processSpecFromConfig(configuration());
        List<String> arguments = new ArrayList<>();
        arguments.addAll(List.of("--configDir", directory.resolve("conf").toString()));
        arguments.addAll(words(TaskExecutorProcessUtils.generateDynamicConfigsStr(spec)));
        arguments.addAll(
                List.of(
                        "-D",
                        "taskmanager.resource-id=" + id,
                        "-D",
                        "taskmanager.host=" + address(number),
                        "-D",
                        "taskmanager.bind-host=" + address(number)));
        return start(
                number,
                "task-manager-" + number,
                ProcessMemoryUtils.generateJvmParametersStr(spec),
                TaskManagerRunner.class,
                arguments);
    }

    private static List<String> words(String text) {
        return Arrays.stream(text.trim().split("\\s+")).filter(w -> !w.isEmpty()).toList();
    }

    private ChildProcess start(
            int host, String name, String jvm, Class<?> main, List<String> arguments) {
        List<String> all = new ArrayList<>(words(jvm));
        all.add("-Dlog.file=" + directory.resolve("log").resolve(name + ".log"));
        all.add("-Dlogback.configurationFile=" + directory.resolve("conf/logback.xml"));
        JavaProcess.Command command =
                new JavaProcess.Command(
                        List.of(), Distribution.clusterClasspath(), all, main.getName(), arguments);
        // Flink looks for its plugins where a variable says.
        JavaProcess.Command with =
                command.behind(
                        List.of("env", "FLINK_PLUGINS_DIR=" + ObjectStores.plugins(directory)));
        return JavaProcess.start(
                hosts.map(h -> with.on(h.host(host))).orElse(with),
                directory.resolve("log").resolve(name + ".out"));
    }
}
