// SPDX-License-Identifier: Apache-2.0

package io.tributary.bench;

import io.tributary.job.config.JobSpec;
import io.tributary.memory.mailbox.Mailbox;
import io.tributary.memory.region.TrustedDirectory;
import io.tributary.node.Node;
import io.tributary.node.NodeClient;
import io.tributary.trainer.ModelUpdate;
import io.tributary.trainer.TrainerClient;
import io.tributary.trainer.TrainingRound;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

/** All trainers of one host. In each round they send when those of all hosts have written. */
final class HostTrainers {

    private static final Duration PATIENCE = Duration.ofMinutes(5);

    private final JobSpec job;
    private final int host;
    private final int trainers;
    private final int hosts;
    private final NodeClient regions =
            NodeClient.by(
                    TrustedDirectory.of(TrustedDirectory.DEFAULT),
                    Mailbox.DEFAULT_PORT + Node.LOCAL_OFFSET);
    private volatile int round;

    private HostTrainers(JobSpec job, int host, int trainers, int hosts) {
        this.job = job;
        this.host = host;
        this.trainers = trainers;
        this.hosts = hosts;
    }

    /** What the groups of hosts are called. */
    static String group(int host) {
        return "host-" + host;
    }

    /** Arguments: job.yaml, host, its trainers, number of hosts. */
    public static void main(String[] args) throws Exception {
        new HostTrainers(
                        JobSpec.read(Path.of(args[0])),
                        Integer.parseInt(args[1]),
                        Integer.parseInt(args[2]),
                        Integer.parseInt(args[3]))
                .run();
        System.exit(0);
    }

    private void run() throws Exception {
        ExecutorService threads = Executors.newFixedThreadPool(trainers);
        CyclicBarrier ready = new CyclicBarrier(trainers, this::meet);
        List<Callable<Void>> all = new ArrayList<>();
        for (int i = 0; i < trainers; i++) {
            int trainer = i;
            all.add(() -> train(trainer, ready));
        }
        for (Future<Void> each : threads.invokeAll(all)) {
            each.get();
        }
    }

    /** The last one to be ready on this host waits for the other hosts. */
    private void meet() {
        try {
            regions.barrier("host-1", "%s-%d".formatted(job.name(), round), hosts, PATIENCE);
            System.out.printf("round %d begins %d%n", round, System.currentTimeMillis());
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private Void train(int trainer, CyclicBarrier ready) throws Exception {
        float[] values = LiveRounds.values(trainer, LiveRounds.MAX_VALUES);
        try (TrainerClient client =
                TrainerClient.builder()
                        .job(job.name())
                        .id("t-%d-%d".formatted(host, trainer))
                        .group(group(host))
                        .transport(job.followed().uri())
                        .connect()) {
            client.join();
            Optional<TrainingRound> next = client.awaitRound(PATIENCE);
            while (next.isPresent()) {
                ModelUpdate update = LiveRounds.write(next.get(), trainer, values);
                round = next.get().id().round();
                ready.await();
                LiveRounds.send(client, update);
                next = client.awaitRound(PATIENCE);
            }
        }
        return null;
    }
}
