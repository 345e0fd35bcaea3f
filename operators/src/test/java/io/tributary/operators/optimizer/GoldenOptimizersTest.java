// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.optimizer;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.tributary.operators.rule.AggregationRule;
import io.tributary.protocol.message.Claim;
import io.tributary.protocol.message.PayloadRef;
import io.tributary.protocol.message.UpdateKind;
import java.io.IOException;
import java.io.InputStream;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.DoubleStream;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * Twenty rounds, compared with what Flower and NVFlare themselves make of the same updates. {@code
 * trainer-client/python/tests/test_golden.py} runs them and writes the file.
 */
class GoldenOptimizersTest {

    private static JsonNode golden() throws IOException {
        try (InputStream in =
                GoldenOptimizersTest.class.getResourceAsStream("/golden/optimizers.json")) {
            return new ObjectMapper().readTree(in);
        }
    }

    private static double[] numbers(JsonNode array) {
        return IntStream.range(0, array.size()).mapToDouble(i -> array.get(i).asDouble()).toArray();
    }

    /** The mean of what changed, weighted by samples. */
    private static double[] mean(Iterable<JsonNode> changes, double[] samples) {
        double[] mean = {};
        int k = 0;
        for (JsonNode array : changes) {
            double[] change = numbers(array);
            mean = k == 0 ? new double[change.length] : mean;
            for (int i = 0; i < mean.length; i++) {
                mean[i] += samples[k] * change[i] / Arrays.stream(samples).sum();
            }
            k++;
        }
        return mean;
    }

    @ParameterizedTest
    @CsvSource({
        "flower fedadagrad, fedadagrad, flavor=flower",
        "flower fedadam, fedadam, flavor=flower",
        "flower fedavgm, fedavgm, flavor=flower",
        "flower fedyogi, fedyogi, flavor=flower",
        "flower fedavgm 0.8, fedavgm, flavor=flower momentum=0.8 learning-rate=0.7",
        "flower fedadam 0.03, fedadam, flavor=flower learning-rate=0.03 beta1=0.7 beta2=0.95 tau=0.01",
        "nvflare fedavgm, fedavgm, flavor=nvflare",
        "nvflare fedadam, fedadam, flavor=nvflare",
        "nvflare fedadagrad, fedadagrad, flavor=nvflare",
        "nvflare fedavgm step, fedavgm, flavor=nvflare learning-rate=0.5 schedule=step schedule-rounds=4 schedule-factor=0.5",
    })
    void theModelsAreThoseOfTheOriginal(String golden, String name, String parameters)
            throws IOException {
        Map<String, String> given = new TreeMap<>();
        for (String parameter : parameters.split(" ")) {
            given.put(parameter.split("=")[0], parameter.split("=")[1]);
        }
        ServerOptimizer optimizer = Algorithm.named(name, given).optimizer();
        JsonNode file = golden();
        double[] samples = numbers(file.get("samples"));
        double[] model = numbers(file.get("model"));
        Map<String, double[]> slots = new TreeMap<>();
        for (int round = 0; round < file.get("changes").size(); round++) {
            ArrayStep step =
                    new ArrayStep(
                            round, model, mean(file.get("changes").get(round), samples), slots);
            optimizer.step(step);
            model = step.written;
            double[] expected = numbers(file.get("models").get(golden).get(round));
            double largest = Arrays.stream(expected).map(Math::abs).max().orElseThrow();
            assertThat(model)
                    .as("after %d rounds", round + 1)
                    .containsExactly(expected, within(1e-6 * largest));
        }
    }

    @Test
    void qFedAvgIsFlowers() throws IOException {
        Algorithm algorithm =
                Algorithm.named("qfedavg", Map.of("q", "0.2", "client-learning-rate", "0.05"));
        AggregationRule.Streaming rule = (AggregationRule.Streaming) algorithm.rule();
        double[] losses = {0.4, 1.3, 2.2};
        JsonNode file = golden();
        double[] model = numbers(file.get("model"));
        for (int round = 0; round < file.get("changes").size(); round++) {
            JsonNode changes = file.get("changes").get(round);
            double[] weights = new double[losses.length];
            double sumOfH = 0;
            for (int k = 0; k < losses.length; k++) {
                double norm = Arrays.stream(numbers(changes.get(k))).map(x -> x * x).sum();
                Claim claim = claim(1, Map.of("loss-before", losses[k], "squared-norm", norm));
                weights[k] = rule.weight(claim);
                sumOfH += rule.totals(claim).get("h");
            }
            ArrayStep step = new ArrayStep(round, model, mean(changes, weights), Map.of());
            step.weight = Arrays.stream(weights).sum();
            step.totals = Map.of("h", sumOfH);
            algorithm.optimizer().step(step);
            model = step.written;
            double[] expected = numbers(file.get("models").get("flower qfedavg").get(round));
            double largest = Arrays.stream(expected).map(Math::abs).max().orElseThrow();
            assertThat(model)
                    .as("after %d rounds", round + 1)
                    .containsExactly(expected, within(1e-6 * largest));
        }
    }

    @Test
    void scaffoldIsNvflares() throws IOException {
        Algorithm algorithm = Algorithm.named("scaffold", Map.of("flavor", "nvflare"));
        AggregationRule.Streaming rule = (AggregationRule.Streaming) algorithm.rule();
        JsonNode file = golden();
        double[] model = numbers(file.get("model"));
        double[] control = new double[model.length];
        for (int round = 0; round < file.get("changes").size(); round++) {
            List<JsonNode> changes = new ArrayList<>();
            file.get("changes").get(round).forEach(changes::add);
            // The last of the trainers sends in every other round. Its Δc is what the first
            // changes.
            int sent = changes.size() - round % 2;
            double[] weights = new double[sent];
            for (int k = 0; k < sent; k++) {
                weights[k] = rule.weight(claim(file.get("samples").get(k).asInt(), Map.of()));
            }
            List<JsonNode> controls = new ArrayList<>(changes);
            Collections.reverse(controls);
            model = moved(algorithm, "", round, model, changes.subList(0, sent), weights);
            control =
                    moved(
                            algorithm,
                            Scaffold.CONTROL,
                            round,
                            control,
                            controls.subList(0, sent),
                            weights);
            double[] expected = numbers(file.get("models").get("nvflare scaffold").get(round));
            double largest = Arrays.stream(expected).map(Math::abs).max().orElseThrow();
            assertThat(DoubleStream.concat(Arrays.stream(model), Arrays.stream(control)).toArray())
                    .as("after %d rounds", round + 1)
                    .containsExactly(expected, within(1e-6 * largest));
        }
    }

    /** What a step of a tensor set makes of it. */
    private static double[] moved(
            Algorithm algorithm,
            String set,
            int round,
            double[] values,
            List<JsonNode> changes,
            double[] weights) {
        ArrayStep step = new ArrayStep(round, values, mean(changes, weights), Map.of());
        step.set = set;
        step.counted = changes.size();
        algorithm.optimizer().step(step);
        return step.written;
    }

    private static Claim claim(int samples, Map<String, Double> metrics) {
        return new Claim(
                "job",
                "t",
                1,
                0,
                1,
                samples,
                UpdateKind.DELTA,
                0,
                true,
                new PayloadRef("/x", 0, 8, 0),
                metrics);
    }

    /** A step of one run in arrays. */
    private static final class ArrayStep implements TensorStep {

        private final int steps;
        private final double[] model;
        private final double[] change;
        private final Map<String, double[]> slots;
        private String set = "";
        private int counted = 3;
        private double weight = 1;
        private Map<String, Double> totals = Map.of();
        private double[] written = {};

        ArrayStep(int steps, double[] model, double[] change, Map<String, double[]> slots) {
            this.steps = steps;
            this.model = model;
            this.change = change;
            this.slots = slots;
        }

        @Override
        public String tensor() {
            return "w";
        }

        @Override
        public String set() {
            return set;
        }

        @Override
        public double weight() {
            return weight;
        }

        @Override
        public double total(String name) {
            return totals.get(name);
        }

        @Override
        public int counted() {
            return counted;
        }

        @Override
        public int trainers() {
            return 3;
        }

        @Override
        public int steps() {
            return steps;
        }

        @Override
        public double[] model() {
            return model.clone();
        }

        @Override
        public double[] change() {
            return change.clone();
        }

        @Override
        public double[] slot(String name) {
            return slots.computeIfAbsent(name, any -> new double[model.length]);
        }

        @Override
        public void write(double[] elements) {
            written = elements.clone();
        }

        @Override
        public void takeMean() {
            written = model.clone();
            for (int i = 0; i < written.length; i++) {
                written[i] += change[i];
            }
        }
    }
}
