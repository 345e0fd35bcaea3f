// SPDX-License-Identifier: Apache-2.0

package io.tributary.job.graph;

import io.tributary.shm.agent.FreePorts;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Optional;
import java.util.concurrent.ExecutionException;
import org.apache.flink.api.common.JobStatus;
import org.apache.flink.configuration.CheckpointingOptions;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.CoreOptions;
import org.apache.flink.configuration.PipelineOptions;
import org.apache.flink.configuration.RestOptions;
import org.apache.flink.configuration.RestartStrategyOptions;
import org.apache.flink.configuration.WebOptions;
import org.apache.flink.core.execution.JobClient;
import org.apache.flink.core.execution.SavepointFormatType;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;

/** Flink in this process, with its web UI and checkpoints. */
public final class LocalFlink implements AutoCloseable {

    private static final int FIRST_UI_PORT = 8081;
    private static final int UI_PORTS = 100;

    private final StreamExecutionEnvironment environment;
    private final int uiPort;
    private Optional<JobClient> job = Optional.empty();

    private LocalFlink(StreamExecutionEnvironment environment, int uiPort) {
        this.environment = environment;
        this.uiPort = uiPort;
    }

    /**
     * Prepares an environment; the cluster comes up with the job.
     *
     * @param uiPort port of the web UI; the first free one from 8081 on without
     * @param work directory for checkpoints and for Flink's temporary files
     */
    public static LocalFlink start(Optional<Integer> uiPort, Path work) {
        int port = uiPort.map(LocalFlink::requireFree).orElseGet(LocalFlink::freeUiPort);
        Configuration configuration = new Configuration();
        configuration.set(RestOptions.PORT, port);
        configuration.set(RestOptions.BIND_ADDRESS, "127.0.0.1");
        configuration.set(RestOptions.ADDRESS, "127.0.0.1");
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
        StreamExecutionEnvironment environment =
                StreamExecutionEnvironment.createLocalEnvironmentWithWebUI(configuration);
        environment.setParallelism(Math.max(2, Runtime.getRuntime().availableProcessors()));
        return new LocalFlink(environment, port);
    }

    private static int requireFree(int port) {
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
        if (job.isPresent()) {
            try {
                job.get().cancel().get();
                job.get().getJobExecutionResult().get();
            } catch (ExecutionException | IllegalStateException expected) {
                // It ends by being cancelled, or has ended before, and its cluster with it.
            }
        }
    }
}
