// SPDX-License-Identifier: Apache-2.0

package io.tributary.testbed.chaos;

import static org.assertj.core.api.Assertions.assertThat;

import io.tributary.cli.testutils.Cli;
import io.tributary.job.cluster.Distribution;
import io.tributary.job.cluster.FlinkRest;
import io.tributary.job.cluster.Submission;
import io.tributary.job.config.JobSpec;
import io.tributary.memory.mailbox.Mailbox;
import io.tributary.node.Node;
import io.tributary.testbed.cluster.LocalCluster;
import io.tributary.testbed.process.NetnsHosts;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Optional;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Hosts are lost for good, and others are added, while rounds go on. */
@Tag("alone")
class ElasticITCase {

    private static final int HOSTS = 3;
    private static final int PATIENCE_SECONDS = 120;

    @TempDir Path temp;

    @Test
    @Timeout(500)
    void theJobRunsOnTheHostsThatThereAre() throws Exception {
        Assumptions.assumeTrue("root".equals(System.getProperty("user.name")), "needs root");
        LocalCluster cluster = new LocalCluster(temp.resolve("cluster"));
        try {
            start(cluster);
            NetnsHosts hosts = cluster.hosts();
            cluster.killHost(3);
            JobSpec spec =
                    ChaosJob.write(
                            temp,
                            "node-port: " + (Mailbox.DEFAULT_PORT + Node.LOCAL_OFFSET),
                            "shm:",
                            2,
                            HOSTS,
                            "fedavg");
            Progress progress = new Progress();
            try (TrainerFleet fleet =
                            new TrainerFleet(
                                    new ChaosOptions.Trainers(2 * HOSTS, 0),
                                    temp,
                                    Optional.of(hosts),
                                    System.out::println);
                    AutoCloseable ignored =
                            cluster.seen(spec.followed()).follow(spec.name(), progress)) {
                FlinkRest rest = cluster.rest();
                String job =
                        new Submission(rest, Distribution.jobJar())
                                .run(spec, Chaos.config(temp), Optional.empty());
                fleet.startOn(1);
                fleet.startOn(2);
                progress.awaitRound(2, PATIENCE_SECONDS);
                assertThat(rest.parallelism(job)).isEqualTo(2);

                fleet.killOn(2);
                cluster.killHost(2);
                awaitParallelism(rest, job, 1);
                progress.awaitRound(progress.round() + 3, PATIENCE_SECONDS);

                start(cluster);
                awaitParallelism(rest, job, HOSTS);
                fleet.startOn(2);
                fleet.startOn(3);
                awaitLocalFolds(rest, job, progress);

                // Trainers on the host that has no subtask now wait until it has one again.
                submit(2);
                awaitParallelism(rest, job, 2);
                submit(HOSTS);
                awaitParallelism(rest, job, HOSTS);
                progress.awaitRound(progress.round() + 2, PATIENCE_SECONDS);

                assertThat(fleet.stop(PATIENCE_SECONDS)).isEmpty();
                Oracle oracle =
                        new Oracle(fleet.logs(), Path.of(spec.models()), Reference.of("fedavg"));
                assertThat(oracle.faults()).isEmpty();
                assertThat(oracle.countedTwice()).isZero();
                assertThat(oracle.worstError()).isLessThan(1e-6);
            }
        } finally {
            cluster.stop();
        }
    }

    private void submit(int parallelism) {
        Cli cli =
                Cli.run(
                        "submit",
                        "--config",
                        Chaos.config(temp).toString(),
                        "--dir",
                        temp.resolve("cluster").toString(),
                        "--parallelism",
                        Integer.toString(parallelism));
        assertThat(cli.exit()).as(cli.err()).isZero();
        assertThat(cli.out())
                .contains(
                        "gets %d subtasks, or as many as there are slots for"
                                .formatted(parallelism));
    }

    private static void start(LocalCluster cluster) {
        cluster.start(HOSTS, Optional.empty(), 1, Chaos.ELASTIC);
    }

    private static void awaitParallelism(FlinkRest rest, String job, int parallelism) {
        Awaitility.await("parallelism " + parallelism)
                .atMost(Duration.ofSeconds(PATIENCE_SECONDS))
                .until(() -> rest.parallelism(job) == parallelism && rest.running(job));
    }

    /**
     * Each update is folded on its own host, and only sums cross: from the first round on that was
     * opened after the rescale.
     */
    private static void awaitLocalFolds(FlinkRest rest, String job, Progress progress) {
        Awaitility.await("three rounds in which no leaf reads of another host")
                .atMost(Duration.ofSeconds(PATIENCE_SECONDS))
                .untilAsserted(
                        () -> {
                            long before = rest.metric(job, "leaf", "remoteBytesRead");
                            long folded = rest.metric(job, "leaf", "updatesFolded");
                            progress.awaitRound(progress.round() + 3, PATIENCE_SECONDS);
                            assertThat(rest.metric(job, "leaf", "remoteBytesRead"))
                                    .isEqualTo(before);
                            assertThat(rest.metric(job, "leaf", "updatesFolded"))
                                    .isGreaterThan(folded);
                            assertThat(
                                            rest.metric(job, "middle", "remoteBytesRead")
                                                    + rest.metric(job, "top", "remoteBytesRead"))
                                    .isPositive();
                        });
    }
}
