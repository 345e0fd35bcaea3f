// SPDX-License-Identifier: Apache-2.0

package io.tributary.job.graph;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.tributary.cli.testutils.TestJob;
import io.tributary.job.JobEntrypoint;
import io.tributary.job.config.JobModel;
import io.tributary.job.config.JobSpec;
import io.tributary.job.testutils.SmallModel;
import io.tributary.operators.model.PosixModelStore;
import io.tributary.protocol.RejectReason;
import io.tributary.trainer.TrainerClient;
import io.tributary.trainer.TrainerException;
import io.tributary.trainer.TrainerTransport;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.StateRecoveryOptions;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Three models in one Flink job: two of one group each, one of two groups. */
@Timeout(300)
class SeveralModelsITCase {

    private static final int ROUNDS = 3;
    private static final String JOB = "parallel";

    private static final String SCHEMA =
            """
            {"roles":[
              {"name":"trainer","isDataConsumer":true,"groupAssociation":
                [{"low":"us"},{"low":"eu"},{"low":"asia"},{"low":"africa"}]},
              {"name":"middle","groupAssociation":
                [{"low":"us","high":"west"},{"low":"eu","high":"west"},
                 {"low":"asia","high":"far/east"},{"low":"africa","high":"south"}]},
              {"name":"top","groupAssociation":
                [{"high":"west"},{"high":"far/east"},{"high":"south"}]}],
             "channels":[
              {"name":"low","pair":["trainer","middle"],
               "groupBy":{"value":["us","eu","asia","africa"]}},
              {"name":"high","pair":["middle","top"],
               "groupBy":{"value":["west","far/east","south"]}}]}
            """;

    /** Trainers by job, and the group of each. */
    private static final Map<String, Map<String, String>> TRAINERS =
            Map.of(
                    "parallel.west", Map.of("t-1", "us", "t-2", "eu"),
                    "parallel.far.east", Map.of("t-1", "asia", "t-3", "asia"),
                    "parallel.south", Map.of("t-4", "africa", "t-5", "africa"));

    @TempDir Path temp;

    private JobSpec spec;

    @BeforeEach
    void write() throws Exception {
        SmallModel.write(temp.resolve("model-0.safetensors"), 0);
        Files.writeString(temp.resolve("schema.json"), SCHEMA);
        Files.writeString(
                temp.resolve("job.yaml"),
                """
                job.name: %s
                topology: schema.json
                parallelism: 2
                rounds:
                  count: %d
                  minimum-trainers: 2
                model:
                  initial: model-0.safetensors
                  directory: models
                  shard-elements: 100000
                transports: ["shm:?agent-port=1"]
                regions:
                  directory: %s
                  quota: 128 mb
                checkpoints:
                  interval: 200 ms
                  directory: checkpoints
                """
                        .formatted(JOB, ROUNDS, temp.resolve("regions")));
        spec = JobSpec.read(temp.resolve("job.yaml"));
    }

    private LocalFlink start(Optional<String> savepoint) throws Exception {
        LocalFlink flink =
                LocalFlink.start(Optional.empty(), Files.createDirectories(temp.resolve("flink")));
        Configuration configuration = JobEntrypoint.configuration(spec);
        savepoint.ifPresent(path -> configuration.set(StateRecoveryOptions.SAVEPOINT_PATH, path));
        flink.environment().configure(configuration);
        spec.build(flink.environment());
        flink.submit(JOB);
        return flink;
    }

    private TrainerClient joined(String job, String id, String group) {
        TrainerClient client =
                TrainerClient.builder()
                        .job(job)
                        .id(id)
                        .group(group)
                        .transport(TrainerTransport.shm(temp.resolve("regions"), 1))
                        .receiptTimeout(Duration.ofSeconds(5))
                        .connect();
        client.join();
        return client;
    }

    private void train(String job) {
        List<TrainerClient> clients =
                TRAINERS.get(job).entrySet().stream()
                        .map(trainer -> joined(job, trainer.getKey(), trainer.getValue()))
                        .toList();
        CompletableFuture.allOf(
                        clients.stream()
                                .map(client -> CompletableFuture.runAsync(() -> all(client)))
                                .toArray(CompletableFuture[]::new))
                .join();
    }

    private static void all(TrainerClient client) {
        try (client) {
            TestJob.train(client);
        }
    }

    private Path model(JobModel model, int round) {
        return PosixModelStore.at(Path.of(model.models())).model(round);
    }

    @Test
    void eachHasItsRoundsModelsAndStatusAndTheJobEndsWithTheLast() throws Exception {
        assertThat(spec.jobModels())
                .extracting(JobModel::job)
                .containsExactly("parallel.west", "parallel.far.east", "parallel.south");
        String savepoint;
        try (LocalFlink flink = start(Optional.empty())) {
            train("parallel.west");
            train("parallel.south");
            JobModel west = spec.jobModels().get(0);
            Awaitility.await()
                    .atMost(TestJob.PATIENCE)
                    .until(() -> Files.exists(model(west, ROUNDS)));
            // Whoever takes the wrong name is told which groups there are.
            assertThatThrownBy(() -> joined("parallel.far.east", "t-9", "us"))
                    .isInstanceOfSatisfying(
                            TrainerException.class,
                            e -> assertThat(e.reason()).isEqualTo(RejectReason.UNKNOWN_GROUP));
            savepoint = flink.stopWithSavepoint(temp.resolve("savepoint"));
        }
        try (LocalFlink flink = start(Optional.of(savepoint))) {
            train("parallel.far.east");
            flink.awaitFinished();
        }
        TestJob updates = new TestJob(JOB, temp, 1);
        for (JobModel its : spec.jobModels()) {
            List<String> trainers = List.copyOf(TRAINERS.get(its.job()).keySet());
            for (int round = 1; round <= ROUNDS; round++) {
                assertThat(updates.error(model(its, round), round, trainers))
                        .as("%s, round %d", its.job(), round)
                        .isLessThan(1e-6);
            }
            assertThat(
                            Files.readString(
                                    temp.resolve("regions")
                                            .resolve(its.job())
                                            .resolve("status.jsonl")))
                    .contains("\"job\":\"" + its.job() + "\"", "FINISHED");
        }
        assertThat(temp.resolve("models/far.east/model-3.json")).exists();
    }
}
