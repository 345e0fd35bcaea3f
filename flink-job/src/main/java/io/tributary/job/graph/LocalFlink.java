// SPDX-License-Identifier: Apache-2.0

package io.tributary.job.graph;

import io.tributary.node.agent.FreePorts;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.stream.Stream;
import org.apache.flink.api.common.JobStatus;
import org.apache.flink.client.deployment.executors.LocalExecutor;
import org.apache.flink.configuration.CheckpointingOptions;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.CoreOptions;
import org.apache.flink.configuration.DeploymentOptions;
import org.apache.flink.configuration.JobManagerOptions;
import org.apache.flink.configuration.PipelineOptions;
import org.apache.flink.configuration.RestOptions;
import org.apache.flink.configuration.RestartStrategyOptions;
import org.apache.flink.configuration.WebOptions;
import org.apache.flink.core.execution.JobClient;
import org.apache.flink.core.execution.PipelineExecutor;
import org.apache.flink.core.execution.PipelineExecutorFactory;
import org.apache.flink.core.execution.PipelineExecutorServiceLoader;
import org.apache.flink.core.execution.SavepointFormatType;
import org.apache.flink.runtime.minicluster.MiniCluster;
import org.apache.flink.runtime.minicluster.MiniClusterConfiguration;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;

/**
 * Flink in this process, with its web UI and checkpoints. It stays up until it is closed, so the
 * page of a job that has ended can still be looked at.
 */
public final class LocalFlink implements AutoCloseable {

    private static final int FIRST_UI_PORT = 8081;
    private static final int UI_PORTS = 100;

    private final StreamExecutionEnvironment environment;
    private final int uiPort;
    private final Stay stay;
    private Optional<JobClient> job = Optional.empty();

    private LocalFlink(StreamExecutionEnvironment environment, int uiPort, Stay stay) {
        this.stay = stay;
        this.environment = environment;
        this.uiPort = uiPort;
    }

    /**
     * Prepares an environment; the cluster comes up with the job.
     *
     * @param uiPort port of the web UI, 0 for any that is free; the first free one from 8081 on
     *     without
     * @param work directory for checkpoints and for Flink's temporary files
     */
    public static LocalFlink start(Optional<Integer> uiPort, Path work) {
        int port = uiPort.map(LocalFlink::requireFree).orElseGet(LocalFlink::freeUiPort);
        Configuration configuration = new Configuration();
        configuration.set(RestOptions.PORT, port);
        configuration.set(RestOptions.BIND_ADDRESS, "127.0.0.1");
        configuration.set(RestOptions.ADDRESS, "127.0.0.1");
        // Otherwise Flink's store of files listens on all addresses.
        configuration.set(JobManagerOptions.BIND_HOST, "127.0.0.1");
        configuration.set(PipelineOptions.AUTO_GENERATE_UIDS, false);
        configuration.set(PipelineOptions.GENERIC_TYPES, false);
        configuration.set(CheckpointingOptions.CHECKPOINTING_INTERVAL, Duration.ofMillis(250));
        configuration.set(
                CheckpointingOptions.CHECKPOINTS_DIRECTORY,
                work.resolve("checkpoints").toUri().toString());
        configuration.set(CoreOptions.TMP_DIRS, work.resolve("flink").toString());
        configuration.set(WebOptions.TMP_DIR, work.resolve("flink").toString());
        configuration.set(CheckpointingOptions.CHECKPOINT_STORAGE, "filesystem");
        // A disk that is full is a reason to try again, not to lose the round.
        configuration.set(CheckpointingOptions.TOLERABLE_FAILURE_NUMBER, Integer.MAX_VALUE);
        configuration.set(RestartStrategyOptions.RESTART_STRATEGY, "fixed-delay");
        configuration.set(RestartStrategyOptions.RESTART_STRATEGY_FIXED_DELAY_ATTEMPTS, 10);
        configuration.set(
                RestartStrategyOptions.RESTART_STRATEGY_FIXED_DELAY_DELAY, Duration.ofSeconds(1));
        configuration.set(DeploymentOptions.TARGET, LocalExecutor.NAME);
        configuration.set(DeploymentOptions.ATTACHED, true);
        // Otherwise any local process could run code here.
        configuration.set(WebOptions.SUBMIT_ENABLE, false);
        Stay stay = new Stay();
        StreamExecutionEnvironment environment =
                new StreamExecutionEnvironment(
                        stay, configuration, LocalFlink.class.getClassLoader());
        environment.setParallelism(Math.max(2, Runtime.getRuntime().availableProcessors()));
        return new LocalFlink(environment, port, stay);
    }

    /** Flink's own executor for this process, whose cluster does not end with its job. */
    private static final class Stay implements PipelineExecutorServiceLoader {

        private Optional<StayingCluster> cluster = Optional.empty();

        @Override
        public PipelineExecutorFactory getExecutorFactory(Configuration ignored) {
            return new PipelineExecutorFactory() {
                @Override
                public String getName() {
                    return LocalExecutor.NAME;
                }

                @Override
                public boolean isCompatibleWith(Configuration configuration) {
                    return true;
                }

                @Override
                public PipelineExecutor getExecutor(Configuration configuration) {
                    return LocalExecutor.createWithFactory(
                            configuration,
                            settings -> {
                                cluster = Optional.of(new StayingCluster(settings));
                                return cluster.get();
                            });
                }
            };
        }

        @Override
        public Stream<String> getExecutorNames() {
            return Stream.of(LocalExecutor.NAME);
        }

        void end() throws ExecutionException, InterruptedException {
            if (cluster.isPresent()) {
                cluster.get().end().get();
            }
        }
    }

    /** Flink closes it when the job has ended; that is the time to look at it. */
    private static final class StayingCluster extends MiniCluster {

        StayingCluster(MiniClusterConfiguration settings) {
            super(settings);
        }

        @Override
        public CompletableFuture<Void> closeAsync() {
            return CompletableFuture.completedFuture(null);
        }

        CompletableFuture<Void> end() {
            return super.closeAsync();
        }
    }

    private static int requireFree(int port) {
        if (port == 0) {
            return FreePorts.next();
        }
        if (!FreePorts.free(port)) {
            throw new IllegalArgumentException(
                    "port %d is in use; choose another for the web UI".formatted(port));
        }
        return port;
    }

    /** A port that is free now, the first from 8081 on. */
    public static int freeUiPort() {
        return FreePorts.lowest(FIRST_UI_PORT, UI_PORTS);
    }

    /** Where the job is built. */
    public StreamExecutionEnvironment environment() {
        return environment;
    }

    /** Address of the web UI. */
    public String url() {
        return "http://127.0.0.1:" + uiPort;
    }

    /** Starts what was built. */
    public void submit(String name) throws Exception {
        job = Optional.of(environment.executeAsync(name));
    }

    /** The running job. */
    JobClient job() {
        return job.orElseThrow();
    }

    /**
     * @throws IllegalStateException with the job's own reason when it has failed for good
     */
    public void check() throws ExecutionException, InterruptedException {
        JobClient client = job.orElseThrow();
        if (ended(client)) {
            try {
                client.getJobExecutionResult().get();
            } catch (ExecutionException e) {
                throw new IllegalStateException("the Flink job has failed", e);
            }
        }
    }

    /** Whether it has failed, or has ended and its cluster with it. */
    private static boolean ended(JobClient client) throws ExecutionException, InterruptedException {
        try {
            return client.getJobStatus().get() == JobStatus.FAILED;
        } catch (IllegalStateException e) {
            return true;
        }
    }

    /** Makes a savepoint, and says where that is. */
    public String savepoint(Path directory) throws ExecutionException, InterruptedException {
        return job.orElseThrow()
                .triggerSavepoint(directory.toString(), SavepointFormatType.CANONICAL)
                .get();
    }

    /** Ends the job with a savepoint, and says where that is. */
    public String stopWithSavepoint(Path directory)
            throws ExecutionException, InterruptedException {
        return job.orElseThrow()
                .stopWithSavepoint(false, directory.toString(), SavepointFormatType.CANONICAL)
                .get();
    }

    /** Waits until the job has done its rounds and ended. */
    public void awaitFinished() throws ExecutionException, InterruptedException {
        job.orElseThrow().getJobExecutionResult().get();
    }

    @Override
    public void close() throws InterruptedException {
        try {
            if (job.isPresent()) {
                job.get().cancel().get();
                job.get().getJobExecutionResult().get();
            }
        } catch (ExecutionException | IllegalStateException expected) {
            // It ends by being cancelled, or has ended before.
        }
        try {
            stay.end();
        } catch (ExecutionException e) {
            throw new IllegalStateException("Flink does not end", e.getCause());
        }
    }
}
