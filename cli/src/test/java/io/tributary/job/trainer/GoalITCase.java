// SPDX-License-Identifier: Apache-2.0

package io.tributary.job.trainer;

import static org.assertj.core.api.Assertions.assertThat;

import io.tributary.cli.testutils.Cli;
import io.tributary.cli.testutils.TestJob;
import io.tributary.job.config.JobSpec;
import io.tributary.job.graph.TreeSchemas;
import io.tributary.job.testutils.SmallModel;
import io.tributary.operators.model.PosixModelStore;
import io.tributary.testbed.process.BrokerProcess;
import io.tributary.trainer.TrainerClient;
import io.tributary.trainer.TrainingRound;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** A job that ends when its trainers have reached what it is run for. */
@Timeout(180)
class GoalITCase {

    @TempDir Path temp;

    @Test
    void whoSubmittedItIsToldWhyItEnds() throws Exception {
        try (BrokerProcess broker = BrokerProcess.start(temp.resolve("broker"))) {
            SmallModel.write(temp.resolve("model-0.safetensors"), 0);
            Files.write(temp.resolve("schema.json"), TreeSchemas.json(3, TestJob.GROUPS, 1));
            Path config =
                    Files.writeString(
                            temp.resolve("job.yaml"),
                            """
                            job.name: goal
                            topology: schema.json
                            rounds:
                              count: 1000
                              metric: loss
                              better: lower
                              target: 0.3
                            model:
                              initial: model-0.safetensors
                              directory: models
                            transports: ["%s"]
                            regions.directory: %s
                            checkpoints:
                              interval: 500 ms
                              directory: checkpoints
                            """
                                    .formatted(broker.url(), temp.resolve("regions")));
            JobSpec spec = JobSpec.read(config);
            CompletableFuture<Cli> job =
                    CompletableFuture.supplyAsync(
                            () -> Cli.run("submit", "--here", "--config", config.toString()));
            int rounds = 0;
            try (TrainerClient trainer = TestJob.joined(spec, "t-1")) {
                Optional<TrainingRound> round = trainer.awaitRound(TestJob.PATIENCE);
                while (round.isPresent()) {
                    rounds = round.get().id().round();
                    trainer.send(TestJob.update(round.get(), "t-1").metric("loss", 1.0 / rounds));
                    round = trainer.awaitRound(TestJob.PATIENCE);
                }
            }
            Cli cli = job.get(60, TimeUnit.SECONDS);
            assertThat(cli.exit()).as(cli.out() + cli.err()).isZero();
            assertThat(cli.out())
                    .containsOnlyOnce("loss is 0.25 in round 4, the target is 0.3")
                    .contains("the job is FINISHED");
            assertThat(rounds).isEqualTo(4);
            assertThat(PosixModelStore.at(Path.of(spec.models())).model(4)).exists();
        }
    }
}
