// SPDX-License-Identifier: Apache-2.0

package io.tributary.testbed.cluster;

import static org.assertj.core.api.Assertions.assertThat;

import io.tributary.cli.testutils.Cli;
import io.tributary.cli.testutils.TestJob;
import io.tributary.job.config.JobSpec;
import io.tributary.job.graph.TreeSchemas;
import io.tributary.job.testutils.SmallModel;
import io.tributary.memory.region.TensorFile;
import io.tributary.operators.model.PosixModelStore;
import io.tributary.testbed.process.BrokerProcess;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** The example of docs/extending.md, built with its commands, in a cluster and without one. */
@Timeout(240)
class OwnAlgorithmITCase {

    private static final List<String> IDS = List.of("t-1", "t-2");
    private static final Path PAGE =
            Path.of(System.getProperty("tributary.home"), "docs/extending.md");
    private static final Path LIBRARIES =
            Path.of(System.getProperty("tributary.home"), "cli/target/lib");
    private static final String TENSOR = "layer.weight";
    private static final double LIMIT = 0.01;

    @TempDir Path temp;

    private static List<String> blocks(String kind) throws IOException {
        return Pattern.compile("```" + kind + "\n(.*?)```", Pattern.DOTALL)
                .matcher(Files.readString(PAGE))
                .results()
                .map(block -> block.group(1))
                .toList();
    }

    /** Does what the page says. */
    private void build() throws Exception {
        for (String source : blocks("java")) {
            MatchResult name =
                    Pattern.compile("(?:record|class) (\\w+)")
                            .matcher(source)
                            .results()
                            .findFirst()
                            .orElseThrow();
            Files.writeString(temp.resolve(name.group(1) + ".java"), source);
        }
        Files.createSymbolicLink(temp.resolve("lib"), LIBRARIES);
        for (String line : blocks("text").get(0).lines().toList()) {
            Process process =
                    new ProcessBuilder("bash", "-c", line.substring("$ ".length()))
                            .directory(temp.toFile())
                            .redirectErrorStream(true)
                            .start();
            String said = new String(process.getInputStream().readAllBytes());
            assertThat(process.waitFor()).as(line + "\n" + said).isZero();
        }
    }

    private Path config(String transport, String algorithm) throws IOException {
        SmallModel.write(temp.resolve("model-0.safetensors"), 0);
        Files.write(temp.resolve("schema.json"), TreeSchemas.json(3, TestJob.GROUPS, 1));
        return Files.writeString(
                temp.resolve("job.yaml"),
                """
                job.name: own
                topology: schema.json
                rounds:
                  count: 2
                  minimum-trainers: 2
                  quorum: 2
                model:
                  initial: model-0.safetensors
                  directory: models
                transports: ["%s"]
                regions.directory: %s
                checkpoints:
                  interval: 500 ms
                  directory: checkpoints
                """
                                .formatted(transport, temp.resolve("regions"))
                        + algorithm);
    }

    private double[] values(Path file) {
        try (TensorFile model = TensorFile.open(file)) {
            return SmallModel.values(model, TENSOR);
        }
    }

    private double[] update(String id, int round) throws IOException {
        return values(Files.write(temp.resolve("update"), TestJob.bytes(id, round)));
    }

    /** Each round's model, by the formula. */
    private void requireRight(JobSpec spec) throws IOException {
        double[] model = values(temp.resolve("model-0.safetensors"));
        double[] cutOff = new double[model.length];
        long weight = IDS.stream().mapToLong(TestJob::samples).sum();
        for (int round = 1; round <= 2; round++) {
            double[] wanted = cutOff.clone();
            for (String id : IDS) {
                double[] update = update(id, round);
                for (int i = 0; i < wanted.length; i++) {
                    wanted[i] += TestJob.samples(id) * (update[i] - model[i]) / weight;
                }
            }
            double[] found = values(PosixModelStore.at(Path.of(spec.models())).model(round));
            for (int i = 0; i < wanted.length; i++) {
                double made = Math.max(-LIMIT, Math.min(LIMIT, wanted[i]));
                cutOff[i] = wanted[i] - made;
                if (Math.abs(found[i] - model[i] - made) > 1e-5 * Math.max(1, Math.abs(model[i]))) {
                    assertThat(found[i])
                            .as("round %d, element %d", round, i)
                            .isEqualTo(model[i] + made);
                }
            }
            model = found;
        }
    }

    private void train(JobSpec spec) throws Exception {
        CompletableFuture.allOf(
                        IDS.stream()
                                .map(id -> TestJob.train(spec, id))
                                .toArray(CompletableFuture[]::new))
                .get(120, TimeUnit.SECONDS);
    }

    @Test
    void itRunsInAClusterThatDoesNotHaveIt() throws Exception {
        build();
        String algorithm = blocks("yaml").get(0);
        try (BrokerProcess broker = BrokerProcess.start(temp.resolve("broker"))) {
            Path config = config(broker.url(), algorithm);
            LocalCluster cluster = new LocalCluster(temp.resolve("cluster"));
            cluster.start(1, 2);
            try {
                Cli cli =
                        Cli.run(
                                "submit",
                                "--config",
                                config.toString(),
                                "--dir",
                                temp.resolve("cluster").toString(),
                                "--detached");
                assertThat(cli.exit()).as(cli.out() + cli.err()).isZero();
                JobSpec spec = JobSpec.read(config);
                train(spec);
                Awaitility.await()
                        .atMost(TestJob.PATIENCE)
                        .until(
                                () ->
                                        cluster.rest().jobs().stream()
                                                .allMatch(job -> job.state().equals("FINISHED")));
                requireRight(spec);
            } finally {
                cluster.stop();
            }
        }
    }

    @Test
    void itRunsWithoutACluster() throws Exception {
        build();
        try (BrokerProcess broker = BrokerProcess.start(temp.resolve("broker"))) {
            Path config = config(broker.url(), blocks("yaml").get(0));
            JobSpec spec = JobSpec.read(config);
            CompletableFuture<Cli> here =
                    CompletableFuture.supplyAsync(
                            () -> Cli.run("submit", "--here", "--config", config.toString()));
            train(spec);
            Cli cli = here.get(120, TimeUnit.SECONDS);
            assertThat(cli.exit()).as(cli.out() + cli.err()).isZero();
            requireRight(spec);
        }
    }

    @Test
    void whatIsWrongIsSaid() throws Exception {
        build();
        String good = blocks("yaml").get(0);
        assertThat(said(good.replace("limited.jar", "gone.jar")))
                .contains("'algorithm-jar' is 'gone.jar', but there is no file ");
        assertThat(said(good.replace("algorithm: limited", "algorithm: limitd")))
                .contains(
                        "'algorithm' is 'limitd', expected one of [", "; did you mean 'limited'?");
        assertThat(said(good.replace("algorithm: limited", "algorithm: fedavg")))
                .contains(
                        "'algorithm-jar' is 'limited.jar', but algorithm 'fedavg' is Tributary's own");
        assertThat(said(good.replace("limit: 0.01", "limit: -1")))
                .contains("'algorithm-parameters.limit': 'limit' is -1, expected more than 0");
        Files.writeString(
                temp.resolve(
                        "classes/META-INF/services/io.tributary.operators.optimizer.AlgorithmProvider"),
                "org.example.Gone\n");
        Process jar =
                new ProcessBuilder("jar", "--create", "--file", "limited.jar", "-C", "classes", ".")
                        .directory(temp.toFile())
                        .start();
        assertThat(jar.waitFor()).isZero();
        assertThat(said(good))
                .contains(
                        "'algorithm-jar' is 'limited.jar', whose algorithms cannot be loaded: ",
                        "Provider org.example.Gone not found");
    }

    private String said(String algorithm) throws IOException {
        Cli cli =
                Cli.run(
                        "submit",
                        "--here",
                        "--config",
                        config("mqtt://127.0.0.1:1", algorithm).toString());
        assertThat(cli.exit()).isEqualTo(2);
        assertThat(cli.err().lines()).hasSize(1);
        return cli.err();
    }
}
