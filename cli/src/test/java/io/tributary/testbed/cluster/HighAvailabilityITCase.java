// SPDX-License-Identifier: Apache-2.0

package io.tributary.testbed.cluster;

import static org.assertj.core.api.Assertions.assertThat;

import io.tributary.cli.testutils.Cli;
import io.tributary.cli.testutils.TestJob;
import io.tributary.job.cluster.FlinkRest;
import io.tributary.job.config.JobSpec;
import io.tributary.job.graph.JobListener;
import io.tributary.job.graph.TreeSchemas;
import io.tributary.job.testutils.SmallModel;
import io.tributary.node.agent.FreePorts;
import io.tributary.operators.model.PosixModelStore;
import io.tributary.protocol.message.ModelDescription;
import io.tributary.protocol.message.RoundStatus;
import io.tributary.testbed.process.BrokerProcess;
import io.tributary.testbed.process.ChildProcess;
import io.tributary.testbed.process.JavaProcess;
import io.tributary.trainer.TrainerClient;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.atomic.AtomicReference;
import org.apache.flink.runtime.zookeeper.FlinkZooKeeperQuorumPeer;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** With Flink's high availability a round outlives its job manager, and ZooKeeper's absence. */
@Timeout(300)
class HighAvailabilityITCase {

    private static final List<String> IDS = List.of("t-1", "t-2", "t-3", "t-4");
    private static final Duration PATIENCE = Duration.ofSeconds(120);
    private static final int ROUNDS = 3;

    @TempDir Path temp;

    private final int zooKeeperPort = FreePorts.next();
    private ChildProcess zooKeeper;
    private BrokerProcess broker;
    private LocalCluster cluster;

    @BeforeEach
    void start() throws IOException {
        Files.writeString(
                temp.resolve("zoo.cfg"),
                """
                dataDir=%s
                clientPortAddress=127.0.0.1
                clientPort=%d
                tickTime=500
                server.1=127.0.0.1:2888:3888
                """
                        .formatted(temp.resolve("zookeeper"), zooKeeperPort));
        startZooKeeper();
        broker = BrokerProcess.start(temp.resolve("broker"));
        cluster = new LocalCluster(temp.resolve("cluster"));
        cluster.start(
                2,
                1,
                Map.of(
                        "high-availability.type",
                        "zookeeper",
                        "high-availability.zookeeper.quorum",
                        "127.0.0.1:" + zooKeeperPort,
                        "high-availability.zookeeper.client.session-timeout",
                        "5 s",
                        "high-availability.storageDir",
                        temp.resolve("ha").toUri().toString()));
    }

    private void startZooKeeper() {
        zooKeeper =
                JavaProcess.start(
                        JavaProcess.Command.here(
                                List.of("-Xmx128m", "-Dzookeeper.admin.enableServer=false"),
                                FlinkZooKeeperQuorumPeer.class.getName(),
                                List.of(
                                        "--zkConfigFile",
                                        temp.resolve("zoo.cfg").toString(),
                                        "--peerId",
                                        "1")),
                        temp.resolve("zookeeper.out"));
        zooKeeper.awaitListening("127.0.0.1", zooKeeperPort, "ZooKeeper");
    }

    @AfterEach
    void stop() {
        cluster.stop();
        broker.close();
        zooKeeper.close();
    }

    private Path config() throws IOException {
        SmallModel.write(temp.resolve("model-0.safetensors"), 0);
        Files.write(temp.resolve("schema.json"), TreeSchemas.json(3, TestJob.GROUPS, 1));
        return Files.writeString(
                temp.resolve("job.yaml"),
                """
                job.name: available
                topology: schema.json
                parallelism: 2
                rounds:
                  count: %d
                  minimum-trainers: 4
                  quorum: 4
                model:
                  initial: model-0.safetensors
                  directory: models
                transports: ["%s"]
                regions.directory: %s
                checkpoints:
                  interval: 500 ms
                  directory: checkpoints
                """
                        .formatted(ROUNDS, broker.url(), temp.resolve("regions")));
    }

    /** The newest that the job has said. */
    private static final class Newest implements JobListener {

        private final AtomicReference<RoundStatus> status = new AtomicReference<>();

        @Override
        public void status(RoundStatus newStatus) {
            status.set(newStatus);
        }

        @Override
        public void model(ModelDescription model) {
            // Files say enough.
        }

        void await(int round, int updates) {
            Awaitility.await("round %d with %d updates".formatted(round, updates))
                    .atMost(PATIENCE)
                    .until(
                            () ->
                                    status.get() != null
                                            && status.get().round() == round
                                            && status.get().updates() >= updates);
        }
    }

    private void awaitCheckpoint(String job) {
        int completed = checkpoints(job);
        Awaitility.await().atMost(PATIENCE).until(() -> checkpoints(job) > completed + 1);
    }

    private int checkpoints(String job) {
        return cluster.rest().get("/jobs/" + job + "/checkpoints").at("/counts/completed").asInt();
    }

    @Test
    void theRoundGoesOnWithAnotherJobManagerAndWithZooKeeperBack() throws Exception {
        Path config = config();
        JobSpec spec = JobSpec.read(config);
        CompletableFuture<Cli> submission =
                CompletableFuture.supplyAsync(
                        () ->
                                Cli.run(
                                        "submit",
                                        "--config",
                                        config.toString(),
                                        "--dir",
                                        temp.resolve("cluster").toString()));
        Newest newest = new Newest();
        String job;
        try (AutoCloseable ignored = spec.followed().follow(spec.name(), newest)) {
            CompletableFuture<Void> first = TestJob.train(spec, IDS.get(0));
            CompletableFuture<Void> second = TestJob.train(spec, IDS.get(1));
            Awaitility.await()
                    .atMost(PATIENCE)
                    .until(() -> cluster.rest().jobs().stream().anyMatch(FlinkRest.Job::live));
            job = cluster.rest().jobs().get(0).id();
            // The other two have joined and not sent: the round is open, and half of it is there.
            try (TrainerClient third = TestJob.joined(spec, IDS.get(2));
                    TrainerClient fourth = TestJob.joined(spec, IDS.get(3))) {
                newest.await(1, 2);
                awaitCheckpoint(job);

                cluster.killJobManager();
                cluster.start(2, 1);
                awaitRunning(job);
                zooKeeper.kill();
                Awaitility.await("suspended")
                        .atMost(PATIENCE)
                        .until(
                                () ->
                                        log().contains("Connection to ZooKeeper lost")
                                                || log().contains(
                                                                "Connection to ZooKeeper suspended"));
                startZooKeeper();
                awaitRunning(job);

                CompletableFuture<Void> rest =
                        CompletableFuture.allOf(
                                CompletableFuture.runAsync(() -> TestJob.train(third)),
                                CompletableFuture.runAsync(() -> TestJob.train(fourth)));
                CompletableFuture.allOf(first, second, rest).get();
            }
        }
        Cli cli = submission.get();
        assertThat(cli.exit()).as(cli.out() + cli.err()).isZero();
        assertThat(cli.out())
                .containsSubsequence(
                        "warning: ",
                        "; waiting",
                        "the job manager answers again, and has the job",
                        "the job is FINISHED");
        TestJob updates = new TestJob(spec.name(), temp, 1);
        for (int round = 1; round <= ROUNDS; round++) {
            assertThat(
                            updates.error(
                                    PosixModelStore.at(temp.resolve("models")).model(round),
                                    round,
                                    IDS))
                    .isLessThan(1e-6);
        }
    }

    private String log() throws IOException {
        return Files.readString(temp.resolve("cluster/log/job-manager.log"));
    }

    private void awaitRunning(String job) {
        Awaitility.await("the job runs")
                .atMost(PATIENCE)
                .ignoreExceptions()
                .until(
                        () ->
                                cluster.rest().state(job).equals("RUNNING")
                                        && cluster.rest().running(job));
    }
}
