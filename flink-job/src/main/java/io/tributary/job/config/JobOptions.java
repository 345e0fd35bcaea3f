// SPDX-License-Identifier: Apache-2.0

package io.tributary.job.config;

import io.tributary.job.graph.Publish;
import io.tributary.operators.coordinator.RoundRules.Better;
import io.tributary.operators.coordinator.RoundRules.Limits;
import io.tributary.operators.coordinator.RoundRules.Timing;
import io.tributary.operators.model.ModelSpec;
import io.tributary.operators.optimizer.Algorithm;
import io.tributary.protocol.message.UpdateKind;
import java.lang.reflect.Modifier;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.ConfigOptions;

/** The keys of {@code job.yaml}. {@code docs/configuration.md} is made from them. */
public final class JobOptions extends RuntimeOptions {

    /** The job's name. */
    public static final ConfigOption<String> NAME =
            ConfigOptions.key("job.name")
                    .stringType()
                    .noDefaultValue()
                    .withDescription(
                            "Name of the job, in topics, directories and Flink's UI. Required.");

    /** The topology. */
    public static final ConfigOption<String> TOPOLOGY =
            ConfigOptions.key("topology")
                    .stringType()
                    .noDefaultValue()
                    .withDescription(
                            "File with Flame's schema.json, relative to this file. Required.");

    /** Flame's description of rounds and algorithm. */
    public static final ConfigOption<String> MODEL_SPEC =
            ConfigOptions.key("model-spec")
                    .stringType()
                    .noDefaultValue()
                    .withDescription(
                            "File with Flame's modelSpec.json, relative to this file: rounds, hyperparameters and optimizer, where this file does not say otherwise.");

    /** The algorithm. */
    public static final ConfigOption<String> ALGORITHM =
            ConfigOptions.key("algorithm")
                    .stringType()
                    .defaultValue("fedavg")
                    .withDescription(
                            "How updates become a model: one of %s; see algorithms.md."
                                    .formatted(String.join(", ", Algorithm.names())));

    /** What it is given. */
    public static final ConfigOption<Map<String, String>> ALGORITHM_PARAMETERS =
            ConfigOptions.key("algorithm-parameters")
                    .mapType()
                    .defaultValue(Map.of())
                    .withDescription("The algorithm's parameters by name; see algorithms.md.");

    /** Where algorithms of one's own are. */
    public static final ConfigOption<String> ALGORITHM_JAR =
            ConfigOptions.key("algorithm-jar")
                    .stringType()
                    .noDefaultValue()
                    .withDescription(
                            "A jar with algorithms of your own, relative to this file; see extending.md.");

    /** What updates are. */
    public static final ConfigOption<UpdateKind> UPDATES =
            ConfigOptions.key("updates")
                    .enumType(UpdateKind.class)
                    .defaultValue(UpdateKind.WEIGHTS)
                    .withDescription("Whether trainers send weights or what changed.");

    /** Whether updates may leave tensors out. */
    public static final ConfigOption<Boolean> PARTIAL =
            ConfigOptions.key("model.partial-updates")
                    .booleanType()
                    .defaultValue(false)
                    .withDescription(
                            "Whether an update may leave tensors out. Each tensor is averaged over the updates that have it; one that none has stays as it is.");

    /** What never leaves a trainer. */
    public static final ConfigOption<List<String>> PERSONAL =
            ConfigOptions.key("model.personal")
                    .stringType()
                    .asList()
                    .defaultValues()
                    .withDescription(
                            "Names of tensors that never leave a trainer, such as those of its last layer; * stands for any characters. The job rejects an update that has one.");

    /** Flink's parallelism. */
    public static final ConfigOption<Integer> PARALLELISM =
            ConfigOptions.key("parallelism")
                    .intType()
                    .noDefaultValue()
                    .withDescription("Subtasks of sources and aggregators. Flink's own default.");

    /** Number of rounds. */
    public static final ConfigOption<Integer> ROUNDS =
            ConfigOptions.key("rounds.count")
                    .intType()
                    .defaultValue(10)
                    .withDescription("Rounds, after which the job is FINISHED.");

    /** Trainers that a round needs to open. */
    public static final ConfigOption<Integer> MINIMUM_TRAINERS =
            ConfigOptions.key("rounds.minimum-trainers")
                    .intType()
                    .defaultValue(1)
                    .withDescription("Trainers that must have joined before a round opens.");

    /** Updates that a round needs to close. */
    public static final ConfigOption<Integer> QUORUM =
            ConfigOptions.key("rounds.quorum")
                    .intType()
                    .defaultValue(1)
                    .withDescription("Updates without which a round does not close.");

    /** When a round ends at the latest. */
    public static final ConfigOption<Duration> DEADLINE =
            ConfigOptions.key("rounds.deadline")
                    .durationType()
                    .defaultValue(Duration.ofHours(1))
                    .withDescription(
                            "Time, while the job runs, after which an open round closes with its quorum, or opens again without; 0 means never.");

    /** How many trainers there may be. */
    public static final ConfigOption<Integer> MAX_TRAINERS =
            ConfigOptions.key("rounds.max-trainers")
                    .intType()
                    .defaultValue(Limits.DEFAULT.maxTrainers())
                    .withDescription(
                            "Trainers that may take part at one time; a further one is rejected.");

    /** The largest weight. */
    public static final ConfigOption<Long> MAX_SAMPLES =
            ConfigOptions.key("rounds.max-samples")
                    .longType()
                    .defaultValue(Limits.DEFAULT.maxSamples())
                    .withDescription(
                            "The most samples, and so the largest weight, that an update may have; one with more is rejected.");

    /** What trainers are to know. */
    public static final ConfigOption<Map<String, String>> CONFIG =
            ConfigOptions.key("rounds.config")
                    .mapType()
                    .defaultValue(Map.of())
                    .withDescription(
                            "What trainers are to know in each round, such as lr: 0.1; numbers, booleans and texts by name, at most 4096 bytes as JSON. A trainer in Python has it as round.config, an app of Flower as the config of each message.");

    /** Who says what models are worth. */
    public static final ConfigOption<String> EVALUATOR =
            ConfigOptions.key("rounds.evaluator")
                    .stringType()
                    .noDefaultValue()
                    .withDescription(
                            "Id of the evaluator (python -m tributary evaluate): the only one whose metrics of models are shown and kept, and which may end the rounds. The job waits rounds.linger for its word about the last model.");

    /** After how many rounds trainers say what the model is worth. */
    public static final ConfigOption<Integer> EVALUATE_EVERY =
            ConfigOptions.key("rounds.evaluate-every")
                    .intType()
                    .defaultValue(0)
                    .withDescription(
                            "Rounds after which trainers are asked what the new model is worth, before they train it; the initial model and, if it is due, the last one too. The means of what they answer, weighted by samples, are shown and kept as an evaluator's metrics are. 0 means never; a job has this or rounds.evaluator.");

    /** How many trainers say it. */
    public static final ConfigOption<Double> EVALUATE_SHARE =
            ConfigOptions.key("rounds.evaluate-share")
                    .doubleType()
                    .defaultValue(1.0)
                    .withDescription(
                            "Share of the trainers that is asked each time, above 0 and at most 1; the next time others are asked. Of very many trainers up to 0.4 % more are.");

    /** How long the job waits for them. */
    public static final ConfigOption<Duration> EVALUATE_DEADLINE =
            ConfigOptions.key("rounds.evaluate-deadline")
                    .durationType()
                    .defaultValue(Duration.ofMinutes(1))
                    .withDescription(
                            "Time in which the job waits for their answers; then it goes on with those that there are. It begins when the round closes: the model has to be made, leave with a checkpoint and be fetched in it too. At least twice checkpoints.interval.");

    /** When a silent trainer counts as gone. */
    public static final ConfigOption<Duration> HEARTBEAT_TIMEOUT =
            ConfigOptions.key("rounds.heartbeat-timeout")
                    .durationType()
                    .defaultValue(Duration.ofSeconds(30))
                    .withDescription(
                            "Silence after which a trainer counts as gone, while others are heard; 0 means never.");

    /** How long trainers are answered after the last round. */
    public static final ConfigOption<Duration> LINGER =
            ConfigOptions.key("rounds.linger")
                    .durationType()
                    .defaultValue(Duration.ofSeconds(60))
                    .withDescription(
                            "Time after the last round in which trainers are still answered; the job finishes earlier when all have left.");

    /** When updates are folded. */
    public static final ConfigOption<Timing> TIMING =
            ConfigOptions.key("rounds.timing")
                    .enumType(Timing.class)
                    .defaultValue(Timing.EAGER)
                    .withDescription("Whether updates are folded as they come, or at the close.");

    /** Where updates are folded. */
    public static final ConfigOption<Boolean> LOCALITY =
            ConfigOptions.key("rounds.locality")
                    .booleanType()
                    .defaultValue(true)
                    .withDescription(
                            "Whether updates are folded on the host where they lie, where there are several; otherwise each is on all hosts.");

    /** How long rounds are opened. */
    public static final ConfigOption<Duration> TIME_LIMIT =
            ConfigOptions.key("rounds.time-limit")
                    .durationType()
                    .defaultValue(Duration.ZERO)
                    .withDescription(
                            "Time in which the job runs, after which it opens no more rounds; 0 means none.");

    /** What a job is judged by. */
    public static final ConfigOption<String> METRIC =
            ConfigOptions.key("rounds.metric")
                    .stringType()
                    .noDefaultValue()
                    .withDescription(
                            "The metric that the job is judged by, such as accuracy: what the evaluator says of a model, or the trainers' mean where the job has no evaluator.");

    /** Which value of it is better. */
    public static final ConfigOption<Better> BETTER =
            ConfigOptions.key("rounds.better")
                    .enumType(Better.class)
                    .defaultValue(Better.HIGHER)
                    .withDescription("Whether a higher or a lower value of the metric is better.");

    /** Which value is enough. */
    public static final ConfigOption<Double> TARGET =
            ConfigOptions.key("rounds.target")
                    .doubleType()
                    .noDefaultValue()
                    .withDescription(
                            "The job ends when the metric has this value, or a better one.");

    /** How many rounds without a better value are enough. */
    public static final ConfigOption<Integer> NO_IMPROVEMENT =
            ConfigOptions.key("rounds.no-improvement")
                    .intType()
                    .noDefaultValue()
                    .withDescription(
                            "The job ends when the metric has not become better for so many rounds.");

    /** The initial model. */
    public static final ConfigOption<String> MODEL =
            ConfigOptions.key("model.initial")
                    .stringType()
                    .noDefaultValue()
                    .withDescription(
                            "Safetensors file to start from, relative to this file, readable on all hosts, or the URI of an object. Required.");

    /** Where models go. */
    public static final ConfigOption<String> MODELS =
            ConfigOptions.key("model.directory")
                    .stringType()
                    .noDefaultValue()
                    .withDescription(
                            "Directory for models and their ledgers, relative to this file, writable on all hosts, or a URI in an object store, such as s3://bucket/models. Required.");

    /** When models leave. */
    public static final ConfigOption<Publish> PUBLISH =
            ConfigOptions.key("model.publish")
                    .enumType(Publish.class)
                    .defaultValue(Publish.COMMITTED)
                    .withDescription("When models, and the plans that name them, leave.");

    /** Elements of a shard. */
    public static final ConfigOption<Integer> SHARD =
            ConfigOptions.key("model.shard-elements")
                    .intType()
                    .defaultValue(ModelSpec.DEFAULT_SHARD_ELEMENTS)
                    .withDescription("Elements of a shard of the model.");

    private JobOptions() {}

    /** All options, in the order of this file. */
    public static List<ConfigOption<?>> all() {
        return Arrays.stream(JobOptions.class.getFields())
                .filter(f -> Modifier.isStatic(f.getModifiers()))
                .filter(f -> f.getType() == ConfigOption.class)
                .<ConfigOption<?>>map(
                        f -> {
                            try {
                                return (ConfigOption<?>) f.get(null);
                            } catch (IllegalAccessException e) {
                                throw new AssertionError(e);
                            }
                        })
                .toList();
    }
}
