// SPDX-License-Identifier: Apache-2.0

package io.tributary.testbed.cluster;

import static org.assertj.core.api.Assertions.assertThat;

import io.tributary.cli.testutils.Cli;
import io.tributary.cli.testutils.S3Server;
import io.tributary.cli.testutils.S3Server.Refusal;
import io.tributary.cli.testutils.TestJob;
import io.tributary.job.config.JobSpec;
import io.tributary.job.graph.TreeSchemas;
import io.tributary.job.testutils.SmallModel;
import io.tributary.protocol.Json;
import io.tributary.protocol.message.RoundId;
import io.tributary.protocol.message.RoundLedger;
import io.tributary.testbed.process.BrokerProcess;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Collectors;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/**
 * Models, ledgers and checkpoints in a store that speaks S3: the processes of the cluster have no
 * directory in common.
 */
@Timeout(300)
class ObjectStoreITCase {

    private static final List<String> IDS = List.of("t-1", "t-2", "t-3");
    private static final Duration PATIENCE = Duration.ofSeconds(120);
    private static final int ROUNDS = 3;
    private static final String STORE = "s3://" + S3Server.BUCKET;
    private static final String VERSIONS = "/" + S3Server.BUCKET + "/models/versions/";

    private static final Map<String, String> ELASTIC =
            Map.of(
                    "jobmanager.scheduler",
                    "adaptive",
                    "jobmanager.adaptive-scheduler.executing.cooldown-after-rescaling",
                    "1 s",
                    "jobmanager.adaptive-scheduler.executing.resource-stabilization-timeout",
                    "1 s");

    @TempDir Path temp;

    private S3Server store;
    private BrokerProcess broker;
    private LocalCluster cluster;

    @BeforeEach
    void start() throws Exception {
        store = S3Server.start(temp);
        broker = BrokerProcess.start(temp.resolve("broker"));
        Path plugins = Files.createDirectories(temp.resolve("cluster/plugins"));
        Files.createSymbolicLink(
                plugins.resolve("s3-fs-hadoop"),
                Path.of(System.getProperty("tributary.home"), "cli/target/plugins/s3-fs-hadoop"));
        cluster = new LocalCluster(temp.resolve("cluster"));
    }

    private void startCluster(Map<String, String> more) {
        Map<String, String> settings = new HashMap<>(store.settings());
        settings.putAll(more);
        cluster.start(2, 1, settings);
    }

    @AfterEach
    void stop() {
        cluster.stop();
        broker.close();
        store.close();
    }

    private Path config() throws Exception {
        Path initial = SmallModel.write(temp.resolve("initial"), 0);
        store.put("model-0.safetensors", Files.readAllBytes(initial));
        Files.write(temp.resolve("schema.json"), TreeSchemas.json(3, TestJob.GROUPS, 1));
        return Files.writeString(
                temp.resolve("job.yaml"),
                """
                job.name: stored
                topology: schema.json
                parallelism: 2
                rounds:
                  count: %d
                  minimum-trainers: 3
                  quorum: 3
                model:
                  initial: %2$s/model-0.safetensors
                  directory: %2$s/models
                transports: ["%3$s"]
                regions.directory: %4$s
                checkpoints:
                  interval: 500 ms
                  directory: %2$s/checkpoints
                """
                        .formatted(ROUNDS, STORE, broker.url(), temp.resolve("regions")));
    }

    private Cli submit(Path config, String... more) {
        List<String> line =
                List.of(
                        "submit",
                        "--config",
                        config.toString(),
                        "--dir",
                        temp.resolve("cluster").toString());
        return Cli.run(
                java.util.stream.Stream.concat(line.stream(), java.util.stream.Stream.of(more))
                        .toArray(String[]::new));
    }

    /** What the file says, once the job is there; the command has made S3 known to this process. */
    private JobSpec submitted(Path config, CompletableFuture<Cli> submission) {
        Awaitility.await()
                .atMost(PATIENCE)
                .until(() -> submission.isDone() || !cluster.rest().jobs().isEmpty());
        return JobSpec.read(config);
    }

    private static CompletableFuture<?> train(JobSpec spec) {
        return CompletableFuture.allOf(
                IDS.stream().map(id -> TestJob.train(spec, id)).toArray(CompletableFuture[]::new));
    }

    private CompletableFuture<Cli> submission(Path config) {
        return CompletableFuture.supplyAsync(() -> submit(config));
    }

    /** Which rounds have a model that can be seen. */
    private Set<Integer> models() throws Exception {
        return store.keys("models/versions/").stream()
                .filter(key -> key.endsWith(".safetensors"))
                .map(key -> key.substring("models/versions/".length()))
                .map(name -> Integer.parseInt(name.substring(0, name.indexOf('.'))))
                .collect(Collectors.toSet());
    }

    private static boolean completes(String method, String uri) {
        return method.equals("POST") && uri.startsWith(VERSIONS) && uri.contains("uploadId=");
    }

    private static boolean writesPart(String method, String uri) {
        return method.equals("PUT") && uri.startsWith(VERSIONS) && uri.contains("partNumber=");
    }

    @Test
    void aKillBetweenPartAndCompleteAndRefusedWritesLoseNothing() throws Exception {
        startCluster(Map.of());
        Path config = config();
        AtomicInteger completed = new AtomicInteger();
        CompletableFuture<Void> killed = new CompletableFuture<>();
        store.gate(
                (method, uri) -> {
                    if (!completes(method, uri) || completed.incrementAndGet() > 1) {
                        return Optional.empty();
                    }
                    // The parts of the first model are there, and their writer dies now.
                    CompletableFuture.runAsync(
                                    () -> {
                                        cluster.killTaskManager(1);
                                        cluster.killTaskManager(2);
                                    })
                            .join();
                    killed.complete(null);
                    return Optional.of(Refusal.ACCESS_DENIED);
                });
        CompletableFuture<Cli> submission = submission(config);
        JobSpec spec = submitted(config, submission);
        CompletableFuture<?> trainers = train(spec);
        killed.get(PATIENCE.toSeconds(), TimeUnit.SECONDS);
        assertThat(models()).as("nobody sees a part").isEmpty();

        AtomicInteger refused = new AtomicInteger();
        store.gate(
                (method, uri) ->
                        Optional.of(Refusal.ACCESS_DENIED)
                                .filter(
                                        refusal ->
                                                writesPart(method, uri)
                                                        && uri.contains("/versions/2.")
                                                        && refused.incrementAndGet() <= 2));
        cluster.start(2, 1);
        trainers.get(PATIENCE.toSeconds(), TimeUnit.SECONDS);
        Cli cli = submission.get();
        assertThat(cli.exit()).as(cli.out() + cli.err()).isZero();
        assertThat(cli.out())
                .containsPattern(
                        "the job restarts: %s/models/versions/2\\.\\S+ cannot be written: Access Denied "
                                .formatted(STORE));
        assertThat(refused).hasValueGreaterThanOrEqualTo(1);

        assertRight(spec);
        Cli again = submit(config, "--from-latest");
        assertThat(again.exit()).isEqualTo(2);
        assertThat(again.err()).contains("has finished, so there is nothing to go on from");
    }

    private void assertRight(JobSpec spec) throws Exception {
        TestJob updates = new TestJob(spec.name(), temp, 1);
        for (int round = 1; round <= ROUNDS; round++) {
            RoundLedger ledger =
                    Json.decode(
                            store.get("models/model-%d.json".formatted(round)).orElseThrow(),
                            RoundLedger.class);
            assertThat(ledger.updates())
                    .extracting(RoundLedger.Entry::trainer)
                    .containsExactlyInAnyOrderElementsOf(IDS);
            RoundId version = ledger.model();
            byte[] model =
                    store.get("models/versions/%s.safetensors".formatted(version)).orElseThrow();
            Path file = Files.write(temp.resolve("model-" + round), model);
            assertThat(updates.error(file, round, IDS)).isLessThan(1e-6);
        }
    }

    /**
     * The store asks to wait with the first model, so the round is closing while the job is
     * rescaled.
     */
    @Test
    void aRescaleInTheMiddleOfACloseLosesNothing() throws Exception {
        startCluster(ELASTIC);
        Path config = config();
        CompletableFuture<Void> closing = new CompletableFuture<>();
        AtomicBoolean over = new AtomicBoolean();
        store.gate(
                (method, uri) -> {
                    if (over.get() || !completes(method, uri)) {
                        return Optional.empty();
                    }
                    closing.complete(null);
                    return Optional.of(Refusal.SLOW_DOWN);
                });
        CompletableFuture<Cli> submission = submission(config);
        JobSpec spec = submitted(config, submission);
        CompletableFuture<?> trainers = train(spec);
        closing.get(PATIENCE.toSeconds(), TimeUnit.SECONDS);
        String job = cluster.rest().jobs().get(0).id();
        assertThat(cluster.rest().parallelism(job)).isEqualTo(2);
        cluster.rest().rescale(job, 1);
        Awaitility.await()
                .atMost(PATIENCE)
                .ignoreExceptions()
                .until(() -> cluster.rest().parallelism(job) == 1 && cluster.rest().running(job));
        over.set(true);
        trainers.get(PATIENCE.toSeconds(), TimeUnit.SECONDS);
        Cli cli = submission.get();
        assertThat(cli.exit()).as(cli.out() + cli.err()).isZero();
        assertRight(spec);
    }
}
