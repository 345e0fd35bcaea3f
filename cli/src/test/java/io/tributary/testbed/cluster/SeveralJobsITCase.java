// SPDX-License-Identifier: Apache-2.0

package io.tributary.testbed.cluster;

import static org.assertj.core.api.Assertions.assertThat;

import io.tributary.cli.testutils.Cli;
import io.tributary.cli.testutils.TestJob;
import io.tributary.job.cluster.FlinkRest;
import io.tributary.job.config.JobSpec;
import io.tributary.job.graph.TreeSchemas;
import io.tributary.job.testutils.SmallModel;
import io.tributary.memory.region.RegionDirectory;
import io.tributary.operators.model.PosixModelStore;
import io.tributary.protocol.message.Topics;
import io.tributary.testbed.process.BrokerProcess;
import io.tributary.trainer.TrainerClient;
import io.tributary.transport.mqtt.BrokerOptions;
import io.tributary.transport.mqtt.MqttLink;
import io.tributary.transport.mqtt.Publication;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicLong;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/**
 * Three jobs of one session cluster with one region directory. One of them is stuck, its quota is
 * full, and strangers flood it; the others do not notice.
 */
@Timeout(300)
class SeveralJobsITCase {

    private static final List<String> IDS = List.of("t-1", "t-2", "t-3");
    private static final Duration PATIENCE = Duration.ofSeconds(120);
    private static final int ROUNDS = 3;
    private static final String STUCK = "stuck";

    /** Two updates of the model fit, and the sums of the tree. */
    private static final long SMALL_QUOTA_MB = 40;

    private static final long MB = 1 << 20;

    @TempDir Path temp;

    private BrokerProcess broker;
    private LocalCluster cluster;

    @BeforeEach
    void start() {
        broker = BrokerProcess.start(temp.resolve("broker"));
        cluster = new LocalCluster(temp.resolve("cluster"));
        cluster.start(2, 3);
    }

    @AfterEach
    void stop() {
        cluster.stop();
        broker.close();
    }

    private Path regions() {
        return temp.resolve("regions");
    }

    private JobSpec submit(String name, String transport, long quotaMb) throws IOException {
        Path work = Files.createDirectories(temp.resolve(name));
        SmallModel.write(work.resolve("model-0.safetensors"), 0);
        Files.write(work.resolve("schema.json"), TreeSchemas.json(3, TestJob.GROUPS, 1));
        Path config =
                Files.writeString(
                        work.resolve("job.yaml"),
                        """
                        job.name: %s
                        topology: schema.json
                        parallelism: 2
                        rounds:
                          count: %d
                          minimum-trainers: 3
                          quorum: 3
                        model:
                          initial: model-0.safetensors
                          directory: models
                        transports: ["%s"]
                        regions:
                          directory: %s
                          quota: %d mb
                        checkpoints:
                          interval: 500 ms
                          directory: checkpoints
                        """
                                .formatted(name, ROUNDS, transport, regions(), quotaMb));
        Cli cli =
                Cli.run(
                        "submit",
                        "--config",
                        config.toString(),
                        "--dir",
                        temp.resolve("cluster").toString(),
                        "--detached");
        assertThat(cli.exit()).as(cli.out() + cli.err()).isZero();
        return JobSpec.read(config);
    }

    private FlinkRest.Job job(String name) {
        return cluster.rest().jobs().stream()
                .filter(job -> job.name().equals(name))
                .findFirst()
                .orElseThrow();
    }

    /** What the regions of a job take. */
    private long bytes(String job) {
        return RegionDirectory.list(regions()).stream()
                .filter(file -> file.startsWith(regions().resolve(job)))
                .mapToLong(file -> file.toFile().length())
                .sum();
    }

    /**
     * Sends chunks in the name of trainers that have not joined, as fast as the broker takes them.
     */
    private CompletableFuture<Long> flood(String job, AtomicBoolean over) {
        return CompletableFuture.supplyAsync(
                () -> {
                    AtomicLong sent = new AtomicLong();
                    try (MqttLink link =
                            MqttLink.connect(
                                    BrokerOptions.of(broker.url()),
                                    new MqttLink.Settings("strangers", 10, Optional.empty()),
                                    message -> message.done().run())) {
                        while (!over.get()) {
                            String stranger = "s-" + sent.incrementAndGet();
                            link.publish(
                                    new Publication(
                                            new Topics(job).update(stranger),
                                            new byte[50_000],
                                            Map.of("chunk", "0"),
                                            false));
                        }
                    }
                    return sent.get();
                });
    }

    private void assertRight(JobSpec spec) throws IOException {
        TestJob updates = new TestJob(spec.name(), temp, 1);
        for (int round = 1; round <= ROUNDS; round++) {
            Path model = PosixModelStore.at(Path.of(spec.models())).model(round);
            assertThat(updates.error(model, round, IDS)).isLessThan(1e-6);
        }
    }

    @Test
    void noneStarvesAnother() throws Exception {
        JobSpec stuck = submit(STUCK, broker.url(), SMALL_QUOTA_MB);
        JobSpec broadcast = submit("broadcast", broker.url(), 256);
        JobSpec shared = submit("shared", "shm", 256);
        AtomicBoolean over = new AtomicBoolean();
        CompletableFuture<Long> flood = flood(STUCK, over);
        List<CompletableFuture<Void>> early =
                IDS.subList(0, 2).stream().map(id -> TestJob.train(stuck, id)).toList();
        // It has joined and does not send, so the round stays open.
        TrainerClient late = TestJob.joined(stuck, IDS.get(2));

        CompletableFuture.allOf(
                        IDS.stream()
                                .flatMap(
                                        id ->
                                                List.of(
                                                        TestJob.train(broadcast, id),
                                                        TestJob.train(shared, id))
                                                        .stream())
                                .toArray(CompletableFuture[]::new))
                .get(PATIENCE.toSeconds(), TimeUnit.SECONDS);
        for (JobSpec spec : List.of(broadcast, shared)) {
            Awaitility.await(spec.name())
                    .atMost(PATIENCE)
                    .until(() -> job(spec.name()).state().equals("FINISHED"));
            assertRight(spec);
        }
        assertThat(job(STUCK).state()).isEqualTo("RUNNING");
        assertThat(bytes(STUCK)).as("open sums").isBetween(1L, SMALL_QUOTA_MB * MB);

        over.set(true);
        assertThat(flood.get()).isGreaterThan(100);
        try (late) {
            TestJob.train(late);
        }
        for (CompletableFuture<Void> trainer : early) {
            trainer.get(PATIENCE.toSeconds(), TimeUnit.SECONDS);
        }
        Awaitility.await().atMost(PATIENCE).until(() -> job(STUCK).state().equals("FINISHED"));
        assertRight(stuck);
        assertThat(cluster.rest().failure(job(STUCK).id())).as("it never restarted").isEmpty();
    }
}
