// SPDX-License-Identifier: Apache-2.0

package io.tributary.job;

import io.tributary.job.cluster.RetainedCheckpoints;
import io.tributary.job.cluster.SavepointCheck;
import io.tributary.job.config.JobModel;
import io.tributary.job.config.JobSpec;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.concurrent.Callable;
import org.apache.flink.configuration.CheckpointingOptions;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.ConfigOptions;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.CoreOptions;
import org.apache.flink.configuration.ExternalizedCheckpointRetention;
import org.apache.flink.configuration.PipelineOptions;
import org.apache.flink.configuration.ReadableConfig;
import org.apache.flink.configuration.RestartStrategyOptions;
import org.apache.flink.configuration.StateRecoveryOptions;
import org.apache.flink.core.execution.JobClient;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/**
 * What Flink runs: {@code flink run tributary-flink-job.jar --config job.yaml}. With {@code
 * --bundled} the file lies in the jar itself, where 'tributary submit' has put it.
 */
@Command(name = "job")
public final class JobEntrypoint implements Callable<Integer> {

    private static final Logger LOG = LoggerFactory.getLogger(JobEntrypoint.class);

    @Option(names = "--config", paramLabel = "FILE")
    private Optional<Path> file;

    @Option(names = "--bundled")
    private boolean bundled;

    @Option(names = "--directory", paramLabel = "DIR", defaultValue = ".")
    private Path directory;

    /** Where the job's file lies in the jar. */
    public static final String BUNDLED = "/tributary-job.yaml";

    private static final ConfigOption<String> ROCKSDB_TIMERS =
            ConfigOptions.key("state.backend.rocksdb.timer-service.factory")
                    .stringType()
                    .noDefaultValue();

    /**
     * What Flink's Kubernetes operator gives for a path where high availability knows the newest
     * checkpoint.
     */
    private static final String OPERATORS_LAST_STATE = "KUBERNETES_OPERATOR_LAST_STATE";

    private JobEntrypoint() {}

    /** Builds the job and hands it to Flink. */
    public static void main(String[] args) throws Exception {
        JobEntrypoint main = new JobEntrypoint();
        new CommandLine(main).parseArgs(args);
        main.call();
    }

    @Override
    public Integer call() throws Exception {
        JobSpec spec = spec();
        StreamExecutionEnvironment env = StreamExecutionEnvironment.getExecutionEnvironment();
        Configuration wanted = configuration(spec);
        defaults(env.getConfiguration(), wanted);
        if (!bundled) {
            ship(spec.algorithmJar(), env.getConfiguration(), wanted);
        }
        env.configure(wanted);
        Optional<String> savepoint = savepoint(env.getConfiguration());
        if (savepoint.isPresent()) {
            SavepointCheck.requireRestorable(savepoint.get(), spec.jobModels(), spec.schemes());
        }
        spec.build(env);
        JobClient job = env.executeAsync(spec.name());
        String id = job.getJobID().toHexString();
        try {
            RetainedCheckpoints.note(spec, id, savepoint);
        } catch (IOException e) {
            // The job runs; who is told that it does not would submit it twice.
            LOG.warn(
                    "job {} runs, but submit --from-latest will not find its checkpoints, in {}: {}",
                    id,
                    spec.checkpoints(),
                    e.toString());
        }
        return 0;
    }

    /**
     * Puts a jar of the user's beside those that Flink ships already. Where it is not here, it is
     * on the class path, as in {@code usrlib/} of an application cluster.
     */
    public static void ship(Optional<Path> jar, ReadableConfig settings, Configuration wanted) {
        if (jar.filter(Files::isRegularFile).isPresent()) {
            List<String> jars =
                    new ArrayList<>(settings.getOptional(PipelineOptions.JARS).orElse(List.of()));
            jars.add(jar.get().toUri().toString());
            wanted.set(PipelineOptions.JARS, jars);
        }
    }

    /** The savepoint that the job is to go on from, if a path is known. */
    static Optional<String> savepoint(ReadableConfig settings) {
        return settings.getOptional(StateRecoveryOptions.SAVEPOINT_PATH)
                .filter(path -> !path.equals(OPERATORS_LAST_STATE));
    }

    private JobSpec spec() throws IOException {
        if (!bundled) {
            return JobSpec.read(
                    file.orElseThrow(
                            () ->
                                    new IllegalArgumentException(
                                            "--config FILE is missing: the job's job.yaml")));
        }
        try (InputStream in = JobEntrypoint.class.getResourceAsStream(BUNDLED)) {
            if (in == null) {
                throw new IllegalArgumentException("--bundled: the jar has no " + BUNDLED);
            }
            return JobSpec.parse(
                    "job.yaml", new String(in.readAllBytes(), StandardCharsets.UTF_8), directory);
        }
    }

    /** What a job wants of Flink, wherever it runs. */
    public static Configuration configuration(JobSpec spec) {
        Configuration all = new Configuration();
        all.set(PipelineOptions.AUTO_GENERATE_UIDS, false);
        all.set(PipelineOptions.GENERIC_TYPES, false);
        all.set(PipelineOptions.GLOBAL_JOB_PARAMETERS, JobModel.parameters(spec.jobModels()));
        spec.parallelism().ifPresent(p -> all.set(CoreOptions.DEFAULT_PARALLELISM, p));
        // Timers on the heap would take the place of the sums in a checkpoint.
        all.set(ROCKSDB_TIMERS, "ROCKSDB");
        all.set(CheckpointingOptions.CHECKPOINTING_INTERVAL, spec.checkpointInterval());
        all.set(CheckpointingOptions.CHECKPOINT_STORAGE, "filesystem");
        all.set(
                CheckpointingOptions.CHECKPOINTS_DIRECTORY,
                "%s/%s".formatted(spec.checkpoints().replaceAll("/+$", ""), spec.name()));
        return all;
    }

    /**
     * Settings that the job needs, unless the cluster's operator has chosen others.
     *
     * @param chosen the cluster's configuration, and what was given with the submission
     */
    private static void defaults(ReadableConfig chosen, Configuration all) {
        Map<String, String> said =
                new TreeMap<>(
                        chosen.getOptional(PipelineOptions.GLOBAL_JOB_PARAMETERS).orElse(Map.of()));
        said.putAll(all.get(PipelineOptions.GLOBAL_JOB_PARAMETERS));
        all.set(PipelineOptions.GLOBAL_JOB_PARAMETERS, said);
        unlessChosen(
                chosen,
                all,
                CheckpointingOptions.EXTERNALIZED_CHECKPOINT_RETENTION,
                ExternalizedCheckpointRetention.RETAIN_ON_CANCELLATION);
        // A disk that is full is a reason to try again, not to lose the round.
        unlessChosen(chosen, all, CheckpointingOptions.TOLERABLE_FAILURE_NUMBER, Integer.MAX_VALUE);
        if (chosen.getOptional(RestartStrategyOptions.RESTART_STRATEGY).isEmpty()) {
            all.set(RestartStrategyOptions.RESTART_STRATEGY, "fixed-delay");
            unlessChosen(
                    chosen,
                    all,
                    RestartStrategyOptions.RESTART_STRATEGY_FIXED_DELAY_ATTEMPTS,
                    Integer.MAX_VALUE);
            unlessChosen(
                    chosen,
                    all,
                    RestartStrategyOptions.RESTART_STRATEGY_FIXED_DELAY_DELAY,
                    Duration.ofSeconds(1));
        }
    }

    private static <T> void unlessChosen(
            ReadableConfig chosen, Configuration all, ConfigOption<T> option, T otherwise) {
        if (chosen.getOptional(option).isEmpty()) {
            all.set(option, otherwise);
        }
    }
}
