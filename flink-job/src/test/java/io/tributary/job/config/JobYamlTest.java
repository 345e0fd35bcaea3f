// SPDX-License-Identifier: Apache-2.0

package io.tributary.job.config;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.tributary.job.graph.JobTransport;
import io.tributary.job.graph.KafkaTransport;
import io.tributary.job.graph.Publish;
import io.tributary.job.graph.ShmTransport;
import io.tributary.job.graph.TreeSchemas;
import io.tributary.job.testutils.SmallModel;
import io.tributary.operators.coordinator.RoundRules;
import io.tributary.operators.optimizer.Algorithm;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class JobYamlTest {

    private static final String GOOD =
            """
            job.name: digits
            topology: schema.json
            rounds:
              count: 3
              deadline: 10 min
            model:
              initial: model.safetensors
              directory: models
              publish: immediate
            transports:
              - kafka://a:9092,b:9092
            kafka:
              properties:
                sasl.mechanism: PLAIN
            regions.quota: 64 mb
            checkpoints:
              interval: 250 ms
              directory: checkpoints
            """;

    @TempDir Path temp;

    @BeforeEach
    void write() throws IOException {
        Files.write(temp.resolve("schema.json"), TreeSchemas.json(3, List.of("us", "eu"), 1));
        SmallModel.write(temp.resolve("model.safetensors"), 1);
    }

    private JobSpec parse(String text) {
        return JobSpec.parse("job.yaml", text, temp);
    }

    @Test
    void theConfigOfRoundsIsForTrainers() {
        String text = GOOD + "rounds.config:\n  lr: 0.1\n  local-epochs: 3\n  optimizer: sgd\n";
        assertThat(parse(text).rules().config())
                .isEqualTo(Map.of("lr", 0.1, "local-epochs", 3L, "optimizer", "sgd"));
        assertThatThrownBy(() -> parse(GOOD + "rounds.config:\n  long: " + "x".repeat(5000) + "\n"))
                .isInstanceOf(ConfigException.class)
                .hasMessageContaining("'rounds.config'")
                .hasMessageContaining("expected at most 4096");
    }

    @Test
    void aFileBecomesAJob() {
        JobSpec spec = parse(GOOD);
        assertThat(spec.name()).isEqualTo("digits");
        assertThat(spec.rules().rounds()).isEqualTo(3);
        assertThat(spec.rules().patience().deadline()).isEqualTo(Duration.ofMinutes(10));
        assertThat(spec.rules().quorum().updates()).as("the default").isEqualTo(1);
        assertThat(spec.publish()).isEqualTo(Publish.IMMEDIATE);
        assertThat(spec.models()).isEqualTo(temp.resolve("models").toString());
        assertThat(spec.checkpoints()).isEqualTo(temp.resolve("checkpoints").toUri().toString());
        assertThat(spec.transports())
                .singleElement()
                .isInstanceOfSatisfying(
                        KafkaTransport.class,
                        kafka -> {
                            assertThat(kafka.kafka().bootstrapServers()).isEqualTo("a:9092,b:9092");
                            assertThat(kafka.kafka().properties())
                                    .containsEntry("sasl.mechanism", "PLAIN");
                            assertThat(kafka.staging().quotaBytes()).isEqualTo(64 << 20);
                        });
    }

    /** A job takes trainers by several transports; YAML has several ways to write a list. */
    @ParameterizedTest
    @ValueSource(
            strings = {
                "transports:\n  - mqtt://a:1\n  - kafka://b:2,c:3\n  - shm\n",
                "transports:\n  - mqtt://a:1\n  - kafka://b:2,c:3\n  - shm:\n",
                "transports: [mqtt://a:1, \"kafka://b:2,c:3\", \"shm:\"]\n"
            })
    void transportsAreAList(String list) {
        String text = GOOD.replace("transports:\n  - kafka://a:9092,b:9092\n", list);
        assertThat(parse(text).transports())
                .extracting(JobTransport::scheme)
                .containsExactly("mqtt", "kafka", "shm");
    }

    @Test
    void theAlgorithmIsRead() {
        JobSpec spec =
                parse(GOOD + "algorithm: FedAdam\nalgorithm-parameters.learning-rate: 0.5\n");
        assertThat(spec.rules().folding().algorithm())
                .isEqualTo(Algorithm.named("fedadam", Map.of("learning-rate", "0.5")));
        JobSpec median = parse(GOOD + "algorithm: median\nrounds.max-trainers: 9\n");
        assertThat(median.rules().folding().timing()).isEqualTo(RoundRules.Timing.LAZY);
    }

    @Test
    void trainersAreToldWhatTheAlgorithmWantsThemToKnow() {
        JobSpec spec =
                parse(
                        GOOD
                                + "algorithm: fedprox\nalgorithm-parameters.mu: 0.5\nrounds.config.lr: 0.1\n");
        assertThat(spec.rules().config()).isEqualTo(Map.of("proximal-mu", 0.5, "lr", 0.1));
        assertThatThrownBy(() -> parse(GOOD + "algorithm: fedprox\nrounds.config.proximal-mu: 1\n"))
                .hasMessageContaining(
                        "'rounds.config': 'proximal-mu' is what the algorithm tells trainers; give it as a parameter of that");
    }

    @Test
    void trainersAreAskedWhereTheJobOrItsAlgorithmSaysSo() {
        assertThat(parse(GOOD).rules().evaluation()).isEqualTo(RoundRules.Evaluation.NONE);
        assertThat(
                        parse(
                                        GOOD
                                                + "rounds.evaluate-every: 5\nrounds.evaluate-share: 0.1\nrounds.evaluate-deadline: 7 s\n")
                                .rules()
                                .evaluation())
                .isEqualTo(new RoundRules.Evaluation(5, 0.1, Duration.ofSeconds(7)));
        assertThat(parse(GOOD + "algorithm: fedgft\n").rules().evaluation())
                .isEqualTo(new RoundRules.Evaluation(1, 1, Duration.ofMinutes(1)));
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "rounds.evaluate-every: -1 | expected 0 or more",
                "rounds.evaluate-share: 0 | expected above 0 and at most 1",
                "rounds.evaluate-share: 1.5 | expected above 0 and at most 1",
                "rounds.evaluate-deadline: 0 s | expected at least twice checkpoints.interval",
                "rounds.evaluate-every: 1;rounds.evaluate-deadline: 9 ms | expected at least twice checkpoints.interval, ",
                "rounds.evaluate-share: 0.5 | but trainers are not asked; set rounds.evaluate-every too",
                "rounds.evaluate-deadline: 1 min | but trainers are not asked; set rounds.evaluate-every too",
                "rounds.evaluate-every: 1;rounds.evaluator: judge | but rounds.evaluator is there too",
                "algorithm: fedgft;rounds.evaluate-every: 2 | the algorithm asks all trainers about each model",
                "algorithm: fedgft;rounds.evaluate-share: 0.5 | the algorithm asks all trainers about each model",
                "algorithm: fedgft;rounds.evaluator: judge | but the algorithm asks the trainers",
                "algorithm: fedgft;algorithm-parameters.fair: XY | expected one of [sp, eop, cal]",
                "algorithm: fedgft;algorithm-parameters.gamma: -1 | expected at least 0",
            })
    void howTrainersAreAskedIsChecked(String lines, String expected) {
        assertThatThrownBy(() -> parse(GOOD + lines.replace(';', '\n') + "\n"))
                .hasMessageContaining(expected);
    }

    @Test
    void oneTransportMayStandAlone() {
        String text =
                GOOD.replace(
                        "transports:\n  - kafka://a:9092,b:9092\n",
                        "transports: shm:?agent-port=9\n");
        assertThat(parse(text).transports())
                .singleElement()
                .isInstanceOfSatisfying(
                        ShmTransport.class, shm -> assertThat(shm.agentPort()).isEqualTo(9));
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "count: 3 | cuont: 3 | job.yaml:4: unknown key 'rounds.cuont'; did you mean 'rounds.count'?",
                "count: 3 | count: many | job.yaml:4: 'rounds.count' is 'many', expected an integer",
                "count: 3 | count: 0 | job.yaml:4: 'rounds.count' is '0', expected 1 or more",
                "count: 3 | count: [1, 2] | job.yaml:4: 'rounds.count' is a list, expected one value",
                "10 min | soon | job.yaml:5: 'rounds.deadline' is 'soon', expected a duration such as '30 s'",
                "64 mb | much | job.yaml:15: 'regions.quota' is 'much', expected a size such as '512 mb'",
                "- kafka://a:9092,b:9092 | - pigeon://a | job.yaml:11: 'transports': 'pigeon://a': expected a URI that begins with one of [",
                "a:9092,b:9092 | here | job.yaml:11: 'transports': Kafka's bootstrap servers 'here': expected HOST:PORT",
                "- kafka://a:9092,b:9092 | - mqtt:a | job.yaml:11: 'transports': broker 'mqtt:a': expected mqtt://HOST:PORT",
                "- kafka://a:9092,b:9092 | '- shm\n  - mqtt://a:1\n  - mqtts://b:2' | job.yaml:13: 'transports': 'mqtts://b:2' is the second of kind 'mqtt', expected one of each",
                "- kafka://a:9092,b:9092 | - shm:/tmp/x | job.yaml:11: 'transports': 'shm:/tmp/x': expected no directory; all transports of a job use that of regions.directory",
                "- kafka://a:9092,b:9092 | - shm:?agent-port=70000 | job.yaml:11: 'transports': 'shm:?agent-port=70000': expected shm:",
                "- kafka://a:9092,b:9092 | '- shm: x' | job.yaml:11: 'transports' holds keys and values, expected a list of texts",
                "- kafka://a:9092,b:9092 | '- [shm]' | job.yaml:11: 'transports' has an item that is no text, expected a list of texts",
                "- kafka://a:9092,b:9092 | '-' | job.yaml:11: 'transports' has an item that is no text, expected a list of texts",
                "- kafka://a:9092,b:9092 | '- mqtt://a:1\nmqtt.ca-file: x.pem' | job.yaml:11: 'transports': 'mqtt://a:1' has no TLS, which mqtt.ca-file and certificates need; use mqtts:// or wss://",
                "- kafka://a:9092,b:9092 | [] | job.yaml:11: 'transports' is '[]', expected at least one URI",
                "sasl.mechanism: PLAIN | acks: 1 | job.yaml:14: 'kafka.properties.acks': Kafka's property 'acks' is not to be chosen",
                "sasl.mechanism: PLAIN | max.request.size: 10 | job.yaml:14: 'kafka.properties.max.request.size': Kafka's property",
                "topology: schema.json | 'topology: schema.json\nalgorithm: fedsgd' | job.yaml:3: 'algorithm' is 'fedsgd', expected one of [",
                "topology: schema.json | 'topology: schema.json\nmodel.partial-updates: true\nalgorithm: fednova' | job.yaml:3: 'model.partial-updates' is 'true', but algorithm 'fednova' weighs each update as a whole; use another, or set this to false",
                "topology: schema.json | 'topology: schema.json\nmodel.partial-updates: some' | job.yaml:3: 'model.partial-updates' is 'some', expected true or false",
                "topology: schema.json | 'topology: schema.json\nmodel.personal: [lay*, half, steps]' | job.yaml:3: 'model.personal': all tensors are personal, so nothing is averaged",
                "topology: schema.json | 'topology: schema.json\nmodel.personal: head.*' | job.yaml:3: 'model.personal': no tensor of the model is called 'head.*', expected one of [layer.weight, layer.bias, half, steps]",
                "topology: schema.json | 'topology: schema.json\nalgorithm: fedadam\nalgorithm-parameters: {beta3: 1}' | job.yaml:4: 'algorithm-parameters.beta3': 'beta3' is unknown, expected one of [beta1, beta2, flavor, learning-rate, schedule, tau]; did you mean 'beta1'?",
                "topology: schema.json | 'topology: schema.json\nalgorithm: fedadam\nalgorithm-parameters: {beta1: 1}' | job.yaml:4: 'algorithm-parameters.beta1': 'beta1' is 1, expected at least 0 and less than 1",
                "topology: schema.json | 'topology: schema.json\nalgorithm: fedadam\nalgorithm-parameters:\n  tau: 1\n  beta1: x' | job.yaml:6: 'algorithm-parameters.beta1': 'beta1' is x, expected a number",
                "topology: schema.json | 'topology: schema.json\nalgorithm: fedavgm\nalgorithm-parameters: {flavor: nvflare, learning-rate: 0.1}' | job.yaml:4: 'algorithm-parameters': 'schedule-minimum' is 0.9, expected at most the learning rate, 0.1",
                "topology: schema.json | 'topology: schema.json\nalgorithm: fedadamm\nalgorithm-parameters: {beta1: 0.5}' | job.yaml:3: 'algorithm' is 'fedadamm', expected one of [fedadagrad, fedadam, fedavg, fedavgm, feddyn, fedgft, fednova, fedprox, fedyogi, median, qfedavg, scaffold]; did you mean 'fedadam'?",
                "topology: schema.json | 'topology: schema.json\nalgorithm: fedadam\nalgorithm-parameters: {beta1: x}' | job.yaml:4: 'algorithm-parameters.beta1': 'beta1' is x, expected a number",
                "deadline: 10 min | '\n  minimum-trainers: 5\n  max-trainers: 4' | job.yaml:6: 'rounds.minimum-trainers' is '5', expected at most 4, as many as rounds.max-trainers lets take part",
                "deadline: 10 min | '\n  quorum: 5\n  max-trainers: 4' | job.yaml:6: 'rounds.quorum' is '5', expected at most 4",
                "topology: schema.json | 'topology: schema.json\nalgorithm: median' | job.yaml:3: 'algorithm' is 'median', which keeps all updates of a round: set rounds.max-trainers, now 10000, to at most",
                "count: 3 | target: 0.9 | job.yaml:4: 'rounds.target' is '0.9', but rounds.metric is missing, which says what is judged",
                "count: 3 | no-improvement: 3 | job.yaml:4: 'rounds.no-improvement' is '3', but rounds.metric is missing",
                "count: 3 | metric: loss | job.yaml:4: 'rounds.metric' is 'loss', expected rounds.target or rounds.no-improvement with it",
                "count: 3 | 'metric: loss\n  no-improvement: 0' | job.yaml:5: 'rounds.no-improvement' is '0', expected 1 or more",
                "count: 3 | 'metric: loss\n  target: NaN' | job.yaml:5: 'rounds.target' is 'NaN', expected a finite number",
                "count: 3 | 'metric: loss\n  target: good' | job.yaml:5: 'rounds.target' is 'good', expected a number",
                "count: 3 | 'metric: loss\n  target: 1\n  better: best' | job.yaml:6: 'rounds.better' is 'best', expected higher or lower",
                "count: 3 | better: lower | job.yaml:4: 'rounds.better' is 'lower', but rounds.metric is missing",
                "count: 3 | 'metric: \"\"\n  target: 1' | job.yaml:4: 'rounds.metric' is '', expected a name of 1 to 64 characters",
                "count: 3 | time-limit: 40000 d | job.yaml:4: 'rounds.time-limit' is '40000 d', expected at most 36500 days",
                "count: 3 | time-limit: -1 s | job.yaml:4: 'rounds.time-limit' is '-1 s', expected",
                "topology: schema.json | topology: gone.json | job.yaml:2: 'topology' is 'gone.json', but there is no file",
                "job.name: digits | job.name: a/b | job.yaml:1: 'job.name' is 'a/b', job 'a/b': allowed are",
                "job.name: digits | parallelism: 2 | job.yaml: 'job.name' is missing",
                "job.name: digits | job.name: 'a: b: {' | job.yaml:1:",
                "job.name: digits | 'rounds.count: 4\njob.name: x' | job.yaml:5: 'rounds.count' is there twice",
            })
    void aMistakeIsNamedWithItsLine(String good, String bad, String message) {
        assertThatThrownBy(() -> parse(GOOD.replace(good, bad)))
                .isInstanceOf(ConfigException.class)
                .hasMessageStartingWith(message);
    }
}
