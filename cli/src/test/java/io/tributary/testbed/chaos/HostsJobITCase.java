// SPDX-License-Identifier: Apache-2.0

package io.tributary.testbed.chaos;

import static org.assertj.core.api.Assertions.assertThat;

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
import java.util.Map;
import java.util.Optional;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** A job on three hosts, with two trainers on each that hand over by memory. */
@Tag("alone")
class HostsJobITCase {

    private static final int HOSTS = 3;

    @TempDir Path temp;

    @Test
    @Timeout(300)
    void updatesAreFoldedWhereTheyLieAndOnlySumsCross() throws Exception {
        Assumptions.assumeTrue("root".equals(System.getProperty("user.name")), "needs root");
        LocalCluster cluster = new LocalCluster(temp.resolve("cluster"));
        try {
            cluster.start(HOSTS, Optional.of("1gbit"), 1, Map.of());
            NetnsHosts hosts = cluster.hosts();
            JobSpec spec =
                    ChaosJob.write(
                            temp,
                            "node-port: " + (Mailbox.DEFAULT_PORT + Node.LOCAL_OFFSET),
                            "shm:",
                            2 * HOSTS,
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
                String job =
                        new Submission(cluster.rest(), Distribution.jobJar())
                                .run(spec, Chaos.config(temp), Optional.empty());
                fleet.start();
                progress.awaitRound(4, 120);
                Awaitility.await()
                        .atMost(Duration.ofSeconds(30))
                        .untilAsserted(
                                () -> {
                                    FlinkRest rest = cluster.rest();
                                    assertThat(remoteBytes(rest, job, "leaf")).isZero();
                                    assertThat(
                                                    remoteBytes(rest, job, "middle")
                                                            + remoteBytes(rest, job, "top"))
                                            .isPositive();
                                });
                assertThat(fleet.stop(60)).isEmpty();
                Oracle oracle =
                        new Oracle(fleet.logs(), Path.of(spec.models()), Reference.of("fedavg"));
                assertThat(oracle.faults()).isEmpty();
                assertThat(oracle.rounds()).isGreaterThanOrEqualTo(4);
                assertThat(oracle.countedOnce()).isGreaterThanOrEqualTo(4 * 2 * HOSTS);
                assertThat(oracle.countedTwice()).isZero();
            }
        } finally {
            cluster.stop();
        }
    }

    private static long remoteBytes(FlinkRest rest, String job, String level) {
        return rest.metric(job, level, "remoteBytesRead");
    }
}
