// SPDX-License-Identifier: Apache-2.0

package io.tributary.testbed.demo;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import io.tributary.cli.testutils.Cli;
import io.tributary.memory.region.TensorFile;
import io.tributary.operators.optimizer.FedGft;
import io.tributary.protocol.Json;
import io.tributary.protocol.tensor.TensorInfo;
import java.io.IOException;
import java.nio.FloatBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Digits, by each algorithm. */
@Timeout(400)
class AlgorithmsDemoITCase {

    /** A tensor of a model that the mean has made; empty until it is there. */
    private static double[] mean = {};

    @TempDir Path temp;

    private JsonNode report() throws IOException {
        return Json.tree(Files.readAllBytes(temp.resolve("report.json")));
    }

    /** Runs the demo, and returns where its models are. */
    private Path demo(String... given) throws IOException {
        Path models = Files.createTempDirectory(temp, "models");
        List<String> arguments = new ArrayList<>(List.of("demo"));
        arguments.addAll(List.of(given));
        arguments.addAll(List.of("--out", models.toString()));
        Cli cli = Cli.run(arguments.toArray(String[]::new));
        assertThat(cli.exit()).as(cli.err()).isZero();
        return models;
    }

    private double[] learned(String... algorithm) throws IOException {
        List<String> arguments =
                new ArrayList<>(
                        List.of(
                                "--trainers",
                                "4",
                                "--rounds",
                                "5",
                                "--report",
                                temp.resolve("report.json").toString()));
        arguments.addAll(List.of(algorithm));
        return values(demo(arguments.toArray(String[]::new)).resolve("model-5.safetensors"), "");
    }

    /** The elements of one tensor. */
    private static double[] values(Path file, String set) throws IOException {
        try (TensorFile model = TensorFile.open(file)) {
            TensorInfo tensor =
                    model.header().tensors().stream()
                            .filter(t -> t.name().equals(set + "fc1.weight"))
                            .findFirst()
                            .orElseThrow();
            FloatBuffer values = model.elements(tensor, 0, (int) tensor.elements()).asFloatBuffer();
            return IntStream.range(0, values.remaining()).mapToDouble(values::get).toArray();
        }
    }

    /** With rates for a few rounds; the defaults are for more. */
    @ParameterizedTest
    @CsvSource({
        "fedavgm, momentum=0.5",
        "fedadagrad, learning-rate=0.05",
        "fedadam, learning-rate=0.05",
        "fedyogi, learning-rate=0.05",
        "fedprox, mu=0.5",
        "feddyn, alpha=0.1",
        "scaffold, learning-rate=0.9",
        "fednova, learning-rate=0.8",
        "qfedavg, client-learning-rate=1",
        "fedgft, gamma=5",
        "median, ''"
    })
    void aFederationLearnsByEachAlgorithm(String algorithm, String parameter) throws Exception {
        if (mean.length == 0) {
            mean = learned();
        }
        double[] other =
                parameter.isEmpty()
                        ? learned("--algorithm", algorithm)
                        : learned("--algorithm", algorithm, "--param", parameter);
        double furthest =
                IntStream.range(0, mean.length)
                        .mapToDouble(i -> Math.abs(mean[i] - other[i]))
                        .max()
                        .orElseThrow();
        assertThat(furthest).as("another model than that of the mean").isGreaterThan(1e-3);
        assertThat(report().get("config").get("algorithm").textValue()).isEqualTo(algorithm);
        JsonNode rounds = report().get("rounds");
        assertThat(report().get("final").get("testAccuracy").doubleValue())
                .isGreaterThan(rounds.get(0).get("testAccuracy").doubleValue())
                .isGreaterThan(0.75);
    }

    /** Flame's trainers remember what the paper's server does. The shares are equal here. */
    @Test
    void flamesFedDynAndThePapersAreTheSameWhereSharesAre() throws Exception {
        Path paper = dynamic("flavor=paper").resolve("model-3.safetensors");
        Path flame = dynamic("flavor=flame").resolve("model-3.safetensors");
        double[] history = values(flame, "history/");
        double[] sum = values(flame, "");
        for (int i = 0; i < sum.length; i++) {
            sum[i] += history[i];
        }
        assertThat(sum).containsExactly(values(paper, ""), within(1e-5));
        assertThat(Arrays.stream(history).map(Math::abs).max().orElseThrow()).isGreaterThan(1e-2);
    }

    private Path dynamic(String flavor) throws IOException {
        return demo(
                "--trainers",
                "4",
                "--rounds",
                "3",
                "--alpha",
                "1e9",
                "--algorithm",
                "feddyn",
                "--param",
                "alpha=0.1",
                "--param",
                flavor);
    }

    /** The trainers say how fair each model is, and train by what all of them have found. */
    @Test
    void fedGftMakesTheBiasSmaller() throws Exception {
        double without = bias("gamma=0");
        assertThat(Math.abs(bias("gamma=5"))).isLessThan(0.75 * Math.abs(without));
    }

    private double bias(String gamma) throws Exception {
        Path models = demo("--rounds", "6", "--algorithm", "fedgft", "--param", gamma);
        JsonNode found =
                Json.tree(Files.readAllBytes(models.resolve("model-6.json")))
                        .path("evaluation")
                        .path("metrics");
        assertThat(found.path("accuracy").doubleValue()).isGreaterThan(0.9);
        List<Double> abcd =
                FedGft.STATISTICS.stream().map(name -> found.path(name).doubleValue()).toList();
        return abcd.get(0) / abcd.get(1) - abcd.get(2) / abcd.get(3);
    }
}
