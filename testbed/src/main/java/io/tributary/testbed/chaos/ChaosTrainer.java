// SPDX-License-Identifier: Apache-2.0

package io.tributary.testbed.chaos;

import io.tributary.job.config.JobSpec;
import io.tributary.protocol.message.Receipt;
import io.tributary.protocol.tensor.TensorInfo;
import io.tributary.trainer.ModelUpdate;
import io.tributary.trainer.TrainerClient;
import io.tributary.trainer.TrainerException;
import io.tributary.trainer.TrainingRound;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Optional;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** A trainer in a process of its own, until it is killed or told to stop. */
final class ChaosTrainer {

    private static final Logger LOG = LoggerFactory.getLogger(ChaosTrainer.class);
    private static final Duration LOOK = Duration.ofSeconds(2);
    private static final long PAUSE_MILLIS = 200;

    private final String id;
    private final String group;
    private final Path directory;
    private final JobSpec job;
    private final TrainerLog log;

    private ChaosTrainer(String id, String group, Path directory) {
        this.id = id;
        this.group = group;
        this.directory = directory;
        this.job = JobSpec.read(Chaos.config(directory));
        this.log = new TrainerLog(Chaos.trainers(directory), id);
    }

    /** Arguments: id, group, directory of the run. */
    public static void main(String[] args) throws Exception {
        ChaosTrainer trainer = new ChaosTrainer(args[0], args[1], Path.of(args[2]));
        while (!trainer.stopped()) {
            try {
                trainer.train();
            } catch (RuntimeException e) {
                // Of whatever is being killed; what matters is what the log says in the end.
                LOG.warn("{}: {}", args[0], e.toString());
                Thread.sleep(PAUSE_MILLIS);
            }
        }
        System.exit(0);
    }

    private boolean stopped() {
        return Files.exists(Chaos.stop(directory));
    }

    private void train() throws InterruptedException {
        try (TrainerClient client =
                TrainerClient.builder()
                        .job(job.name())
                        .id(id)
                        .group(group)
                        .transport(job.followed().uri())
                        .receiptTimeout(Duration.ofSeconds(5))
                        .heartbeat(Duration.ofSeconds(1))
                        .connect()) {
            client.join();
            while (!stopped()) {
                Optional<TrainingRound> round = next(client);
                if (round.isPresent()) {
                    send(client, round.get());
                }
            }
        }
    }

    private static Optional<TrainingRound> next(TrainerClient client) {
        try {
            return client.awaitRound(LOOK);
        } catch (TrainerException e) {
            // None yet.
            return Optional.empty();
        }
    }

    private void send(TrainerClient client, TrainingRound round) throws InterruptedException {
        // Training takes its time.
        Thread.sleep(PAUSE_MILLIS + Math.floorMod(id.hashCode() + round.id().round(), 100));
        ModelUpdate update = round.newUpdate().samples(ChaosUpdates.samples(id));
        for (TensorInfo tensor : round.header().tensors()) {
            update.floats(tensor.name()).put(ChaosUpdates.values(id, round.id(), tensor.name()));
        }
        log.sending(round.id());
        Receipt receipt = client.send(update);
        log.answered(round.id(), receipt.status(), receipt.text());
    }
}
