// SPDX-License-Identifier: Apache-2.0

package io.tributary.job.graph;

import static org.assertj.core.api.Assertions.assertThat;

import io.tributary.cli.testutils.Cli;
import io.tributary.cli.testutils.TestBroker;
import io.tributary.cli.testutils.TestJob;
import io.tributary.job.cluster.FlinkRest;
import io.tributary.protocol.message.Receipt;
import io.tributary.protocol.message.Receipt.Status;
import io.tributary.trainer.TrainerClient;
import io.tributary.trainer.TrainerTransport;
import io.tributary.trainer.TrainingRound;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** The file system for checkpoints is full for a while. */
@Timeout(180)
class FullDiskITCase {

    @TempDir Path temp;

    private static void run(String... command) throws Exception {
        Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
        String output = new String(process.getInputStream().readAllBytes());
        assertThat(process.waitFor()).as(output).isZero();
    }

    private static void assumeRoot() throws IOException {
        Assumptions.assumeTrue(
                (int) Files.getAttribute(Path.of("/proc/self"), "unix:uid") == 0,
                "mount is root's");
    }

    /** Sends the update of the next round. */
    private static CompletableFuture<Receipt> send(TrainerClient trainer) {
        return CompletableFuture.supplyAsync(
                () -> {
                    TrainingRound round = trainer.awaitRound(TestJob.PATIENCE).orElseThrow();
                    return trainer.send(TestJob.update(round, "t-1"));
                });
    }

    @Test
    void checkpointsFailAndTheJobGoesOnWhenThereIsRoomAgain() throws Exception {
        assumeRoot();
        TestJob job = new TestJob("full", temp, 1);
        Path checkpoints = Files.createDirectories(temp.resolve("full/checkpoints"));
        run("mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", checkpoints.toString());
        try (TestBroker broker = TestBroker.Kind.EMBEDDED.start();
                LocalFlink flink =
                        job.start(1, 1, new MqttTransport(broker.options(), job.staging(1 << 26)));
                TrainerClient trainer =
                        job.client("t-1", TrainerTransport.mqtt(broker.options()))) {
            trainer.join();
            // The plan waits for a checkpoint, and so waits for room.
            CompletableFuture<Receipt> sending = send(trainer);
            FlinkRest rest = new FlinkRest(flink.url().replace("http://", ""));
            String id = rest.jobs().get(0).id();
            Awaitility.await("the metric says so")
                    .atMost(TestJob.PATIENCE)
                    .until(
                            () ->
                                    rest.get("/jobs/" + id + "/checkpoints")
                                                    .at("/counts/failed")
                                                    .asInt()
                                            >= 3);
            flink.check();
            assertThat(sending).isNotDone();
            run("mount", "-o", "remount,size=256m", checkpoints.toString());
            assertThat(sending.get().status()).isEqualTo(Status.COMMITTED);
            job.awaitModel(1);
            flink.check();
        } finally {
            run("umount", "-l", checkpoints.toString());
        }
    }

    @Test
    void aModelThatFindsNoRoomIsWrittenWhenThereIsRoomAgain() throws Exception {
        assumeRoot();
        TestJob job = new TestJob("full", temp, 1);
        Path models = Files.createDirectories(temp.resolve("full"));
        // Less than one of the models, which have 2 MB.
        run("mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", models.toString());
        for (String elsewhere : List.of("checkpoints", "flink")) {
            Files.createSymbolicLink(
                    models.resolve(elsewhere), Files.createDirectory(temp.resolve(elsewhere)));
        }
        try (TestBroker broker = TestBroker.Kind.EMBEDDED.start();
                LocalFlink flink =
                        job.start(1, 1, new MqttTransport(broker.options(), job.staging(1 << 26)));
                TrainerClient trainer =
                        job.client("t-1", TrainerTransport.mqtt(broker.options()))) {
            trainer.join();
            CompletableFuture<Receipt> sending = send(trainer);
            FlinkRest rest = new FlinkRest(flink.url().replace("http://", ""));
            String id = rest.jobs().get(0).id();
            Awaitility.await("Flink says where there is no room")
                    .atMost(TestJob.PATIENCE)
                    .untilAsserted(
                            () ->
                                    assertThat(rest.failure(id).orElse("none"))
                                            .contains(
                                                    models + "/versions/1.",
                                                    " cannot be written: No space left on device"));
            assertThat(sending).isNotDone();
            run("mount", "-o", "remount,size=256m", models.toString());
            assertThat(sending.get().status()).isEqualTo(Status.COMMITTED);
            job.awaitModel(1);
            flink.check();
        } finally {
            run("umount", "-l", models.toString());
        }
    }

    /** Twelve updates, and models, of 200 KB in 2 MB: what nobody uses is given to who waits. */
    @Test
    void aSmallFileSystemOfRegionsIsEnoughForOneAfterTheOther() throws Exception {
        assumeRoot();
        Path small = Files.createDirectories(temp.resolve("small"));
        run("mount", "-t", "tmpfs", "-o", "size=2m,mode=0700", "tmpfs", small.toString());
        try {
            Cli cli =
                    Cli.run(
                            "demo",
                            "--transport",
                            "shm",
                            "--dir",
                            small.resolve("regions").toString(),
                            "--rounds",
                            "3",
                            "--ui-port",
                            "0");
            assertThat(cli.exit()).as(cli.err()).isZero();
            assertThat(cli.out()).contains("that is small", "round  3  closed   12/12");
        } finally {
            run("umount", "-l", small.toString());
        }
    }
}
