// SPDX-License-Identifier: Apache-2.0

package io.tributary.job.config;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.tributary.job.graph.TreeSchemas;
import io.tributary.job.testutils.SmallModel;
import io.tributary.operators.optimizer.Algorithm;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class FlameModelSpecTest {

    private static final String JOB =
            """
            job.name: digits
            topology: schema.json
            model-spec: modelSpec.json
            model:
              initial: model.safetensors
              directory: models
            transports: ["shm:"]
            checkpoints.directory: checkpoints
            """;

    /** As Flame's own examples have it. */
    private static final String SPEC =
            """
            {"baseModel": {"name": "", "version": 1},
             "hyperparameters": {"rounds": 5, "batchSize": 32, "learningRate": 0.01, "name": "x"},
             "dependencies": ["numpy >= 1.2.0"],
             "selector": {"sort": "default", "kwargs": {}},
             "optimizer": {"sort": "fedadam", "kwargs": {"beta_1": 0.8, "eta": 0.05, "tau": null}}}
            """;

    @TempDir Path temp;

    @BeforeEach
    void write() throws IOException {
        Files.write(temp.resolve("schema.json"), TreeSchemas.json(3, List.of("us", "eu"), 1));
        SmallModel.write(temp.resolve("model.safetensors"), 1);
    }

    private JobSpec parse(String job, String spec) throws IOException {
        Files.writeString(temp.resolve("modelSpec.json"), spec);
        return JobSpec.parse("job.yaml", job, temp);
    }

    @Test
    void itSaysWhatTheFileOfTheJobDoesNot() throws IOException {
        JobSpec spec = parse(JOB, SPEC);
        assertThat(spec.rules().rounds()).isEqualTo(5);
        assertThat(spec.rules().config())
                .isEqualTo(Map.of("batchSize", 32L, "learningRate", 0.01, "name", "x"));
        assertThat(spec.rules().folding().algorithm())
                .isEqualTo(
                        Algorithm.named(
                                "fedadam",
                                Map.of(
                                        "flavor",
                                        "flame",
                                        "beta1",
                                        "0.8",
                                        "learning-rate",
                                        "0.05")));
        assertThat(spec.notes()).isEmpty();
    }

    @Test
    void theFileOfTheJobHasPrecedence() throws IOException {
        JobSpec spec =
                parse(
                        JOB + "rounds: {count: 7, config: {batchSize: 8}}\nalgorithm: fedavgm\n",
                        SPEC);
        assertThat(spec.rules().rounds()).isEqualTo(7);
        assertThat(spec.rules().config()).containsEntry("batchSize", 8L);
        assertThat(spec.rules().folding().algorithm())
                .isEqualTo(Algorithm.named("fedavgm", Map.of()));
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '~',
            value = {
                "\"fedprox\", \"kwargs\": {\"mu\": 0.1} | fedprox | mu=0.1",
                "\"fedgft\", \"kwargs\": {\"fair\": \"SP\", \"gamma\": 50, \"reg\": \"l2\"} | fedgft | fair=SP gamma=50 reg=l2",
                "\"feddyn\", \"kwargs\": {\"alpha\": 0.2} | feddyn | alpha=0.2 flavor=flame",
                "\"scaffold\", \"kwargs\": {\"k\": 100} | scaffold | flavor=flame",
                "\"fedavg\", \"kwargs\": {} | fedavg | ''",
                "\"fedyogi\" | fedyogi | flavor=flame",
                "\"fedadagrad\", \"kwargs\": {\"beta_1\": 0.5} | fedadagrad | flavor=flame beta1=0.5",
            })
    void eachOptimizerOfBothIsRead(String optimizer, String name, String parameters)
            throws IOException {
        Map<String, String> given = new TreeMap<>();
        for (String parameter : parameters.replace("''", "").split(" ")) {
            if (!parameter.isEmpty()) {
                given.put(parameter.split("=")[0], parameter.split("=")[1]);
            }
        }
        JobSpec spec = parse(JOB, "{\"optimizer\": {\"sort\": " + optimizer + "}}");
        assertThat(spec.rules().folding().algorithm()).isEqualTo(Algorithm.named(name, given));
        if (name.equals("scaffold")) {
            assertThat(spec.rules().config()).containsEntry("k", 100L);
        }
    }

    @Test
    void whatIsNotFollowedIsSaid() throws IOException {
        JobSpec spec =
                parse(
                        JOB,
                        """
                        {"baseModel": {"name": "resnet"}, "selector": {"sort": "random", "kwargs": {"k": 1}},
                         "hyperparameters": {"layers": [1, 2]}, "optimiser": {"sort": "fedadam"}}
                        """);
        String file = temp.resolve("modelSpec.json").toString();
        assertThat(spec.notes())
                .containsExactly(
                        file
                                + ": hyperparameters.layers is no number, text or boolean, and is not told to trainers",
                        file
                                + ": selector 'random' is not followed: all trainers take part in each round",
                        file
                                + ": baseModel 'resnet' is not looked up: the job begins with model.initial",
                        file + ": 'optimiser' is not followed; did you mean 'optimizer'?");
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '~',
            value = {
                "{\"optimizer\": {\"sort\": \"fedbuff\"}} | optimizer.sort is fedbuff, expected one of [fedadagrad, fedadam, fedavg, feddyn, fedgft, fedprox, fedyogi, scaffold]",
                "{\"optimizer\": {\"sort\": \"fedadam\", \"kwargs\": {\"beta_3\": 1}}} | optimizer.kwargs has 'beta_3', which fedadam does not know, expected one of [beta_1, beta_2, eta, tau]; did you mean 'beta_1'?",
                "{\"optimizer\": {\"sort\": \"fedavg\", \"kwargs\": {\"eta\": 1}}} | optimizer.kwargs has 'eta', which fedavg does not know, expected none",
                "{\"hyperparameters\": {\"rounds\": \"many\"}} | hyperparameters.rounds is \"many\", expected a whole number",
                "{\"hyperparameters\": {\"rounds\": 0}} | modelSpec.json: hyperparameters.rounds: 'rounds.count' is '0', expected 1 or more",
                "{\"hyperparameters\": {\"rounds\": 99999999999}} | modelSpec.json: hyperparameters.rounds: 'rounds.count' is '99999999999', expected an integer",
                "{\"optimizer\": {\"sort\": \"fedadam\", \"kwargs\": {\"beta_1\": 2}}} | modelSpec.json: optimizer.kwargs.beta_1: 'algorithm-parameters.beta1'",
                "{ | modelSpec.json: expected JSON",
            })
    void aMistakeIsNamed(String spec, String why) {
        assertThatThrownBy(() -> parse(JOB, spec))
                .isInstanceOf(ConfigException.class)
                .hasMessageContaining("modelSpec.json")
                .hasMessageContaining(why);
    }

    /** Flame's own files, where they are at hand. */
    @ParameterizedTest
    @ValueSource(strings = {"mnist", "medmnist", "hier_mnist"})
    void flamesExamplesAreReadUnchanged(String example) throws IOException {
        Path flame = Path.of(System.getProperty("tributary.home"), "../shared/data/flame-examples");
        Assumptions.assumeTrue(Files.isDirectory(flame), "Flame's examples are not here");
        String spec = Files.readString(flame.resolve(example).resolve("modelSpec.json"));
        assertThat(parse(JOB, spec).rules().rounds())
                .isEqualTo(example.equals("medmnist") ? 100 : 5);
    }
}
