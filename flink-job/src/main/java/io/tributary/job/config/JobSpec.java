// SPDX-License-Identifier: Apache-2.0

package io.tributary.job.config;

import io.tributary.job.graph.AggregationGraph;
import io.tributary.job.graph.FederationJob;
import io.tributary.job.graph.JobTransport;
import io.tributary.job.graph.Publish;
import io.tributary.memory.region.RegionLayout;
import io.tributary.node.PayloadStore;
import io.tributary.operators.coordinator.RoundRules;
import io.tributary.operators.coordinator.Surroundings;
import io.tributary.operators.model.ModelSpec;
import io.tributary.operators.model.ModelStore;
import io.tributary.operators.optimizer.Algorithm;
import io.tributary.operators.rule.Parameters;
import io.tributary.protocol.RejectedException;
import io.tributary.protocol.message.Config;
import io.tributary.protocol.message.Metrics;
import io.tributary.protocol.message.Names;
import io.tributary.protocol.message.Run;
import io.tributary.protocol.tensor.ModelLayout;
import io.tributary.protocol.tensor.TensorInfo;
import io.tributary.protocol.tensor.TensorSets;
import io.tributary.protocol.tensor.UpdateTensors;
import io.tributary.protocol.topology.Topology;
import io.tributary.sources.base.staging.Staging;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Collectors;
import org.apache.flink.configuration.ConfigOption;

/**
 * A job as {@code job.yaml} describes it. Immutable.
 *
 * @param name the job's name
 * @param topology who aggregates for whom
 * @param rules how rounds are run
 * @param model what the model looks like
 * @param models where models are written, a directory or a URI
 * @param ways how the job speaks with trainers
 * @param publish when models leave
 * @param checkpointInterval time between checkpoints
 * @param checkpoints where they are written, a URI
 * @param parallelism of sources and aggregators; Flink's default without
 * @param algorithmJar the jar with its algorithm, unless that is one of Tributary's
 */
public record JobSpec(
        String name,
        Topology topology,
        RoundRules rules,
        ModelSpec model,
        String models,
        List<ConfiguredTransport> ways,
        Publish publish,
        Duration checkpointInterval,
        String checkpoints,
        Optional<Integer> parallelism,
        Optional<Path> algorithmJar) {

    /** The newest, the one before, and one that is being written. */
    private static final int SHARED_MODELS = 3;

    /** Nanoseconds of it fit into 64 bits. */
    private static final Duration LONGEST = Duration.ofDays(36_500);

    /**
     * Reads a file.
     *
     * @throws ConfigException at the first mistake
     */
    public static JobSpec read(Path file) {
        try {
            return parse(
                    file.toString(), Files.readString(file), file.toAbsolutePath().getParent());
        } catch (NoSuchFileException e) {
            throw new ConfigException("%s: there is no such file".formatted(file));
        } catch (IOException e) {
            throw new UncheckedIOException("%s cannot be read".formatted(file), e);
        }
    }

    /**
     * Reads a file's text.
     *
     * @param file stands for the file in errors
     * @param directory what paths are relative to
     * @throws ConfigException at the first mistake
     */
    public static JobSpec parse(String file, String text, Path directory) {
        JobYaml yaml = JobYaml.parse(file, text);
        String name = yaml.get(JobOptions.NAME);
        try {
            Names.check("job", name);
        } catch (RejectedException e) {
            throw yaml.wrong(JobOptions.NAME, e.getMessage());
        }
        Topology topology =
                Topology.read(existing(yaml, JobOptions.TOPOLOGY, directory), Optional.empty());
        AlgorithmJar algorithm = AlgorithmJar.read(yaml, directory);
        ModelSpec model =
                new ModelSpec(
                        initial(yaml, directory),
                        positive(yaml, JobOptions.SHARD),
                        yaml.get(JobOptions.UPDATES),
                        algorithm.algorithm().optimizer().sets(),
                        new UpdateTensors(
                                yaml.get(JobOptions.PARTIAL), yaml.get(JobOptions.PERSONAL)));
        try {
            requirePersonal(yaml, model.layout());
        } catch (RejectedException | UncheckedIOException e) {
            throw yaml.wrong(JobOptions.MODEL, e.getMessage());
        }
        requirePossible(yaml, algorithm.algorithm(), model);
        return new JobSpec(
                name,
                topology,
                rules(yaml, algorithm.algorithm(), model.updates()),
                model,
                place(yaml.get(JobOptions.MODELS), directory),
                TransportSettings.read(yaml, staging(yaml)),
                yaml.get(JobOptions.PUBLISH),
                interval(yaml),
                uri(yaml.get(JobOptions.CHECKPOINTS), directory),
                yaml.find(JobOptions.PARALLELISM)
                        .map(ignored -> positive(yaml, JobOptions.PARALLELISM)),
                algorithm.jar());
    }

    private static Duration interval(JobYaml yaml) {
        Duration interval = yaml.get(JobOptions.CHECKPOINT_INTERVAL);
        if (interval.toMillis() < 10) {
            throw yaml.wrong(JobOptions.CHECKPOINT_INTERVAL, "expected 10 ms or more");
        }
        return interval;
    }

    private static String uri(String text, Path directory) {
        return text.matches("[a-z0-9]+:.*")
                ? text
                : directory.resolve(text).normalize().toUri().toString();
    }

    /** A path, or the URI of an object. */
    private static String place(String text, Path directory) {
        return ModelStore.isObject(text) ? text : directory.resolve(text).normalize().toString();
    }

    private static String initial(JobYaml yaml, Path directory) {
        String text = yaml.get(JobOptions.MODEL);
        return ModelStore.isObject(text)
                ? text
                : existing(yaml, JobOptions.MODEL, directory).toString();
    }

    private static Path existing(JobYaml yaml, ConfigOption<String> option, Path directory) {
        Path path = directory.resolve(yaml.get(option)).normalize();
        if (!Files.isRegularFile(path)) {
            throw yaml.wrong(option, "but there is no file " + path);
        }
        return path;
    }

    private static <T extends Number> T positive(JobYaml yaml, ConfigOption<T> option) {
        if (yaml.get(option).longValue() < 1) {
            throw yaml.wrong(option, "expected 1 or more");
        }
        return yaml.get(option);
    }

    private static Duration time(JobYaml yaml, ConfigOption<Duration> option) {
        if (yaml.get(option).isNegative()) {
            throw yaml.wrong(option, "expected 0 or more");
        }
        return yaml.get(option);
    }

    /** More than may take part would be waited for in vain. */
    private static void requirePossible(JobYaml yaml) {
        int most = yaml.get(JobOptions.MAX_TRAINERS);
        for (ConfigOption<Integer> wanted :
                List.of(JobOptions.MINIMUM_TRAINERS, JobOptions.QUORUM)) {
            if (yaml.get(wanted) > most) {
                throw yaml.wrong(
                        wanted,
                        "expected at most %d, as many as %s lets take part"
                                .formatted(most, JobOptions.MAX_TRAINERS.key()));
            }
        }
    }

    private static RoundRules rules(JobYaml yaml, Algorithm algorithm, UpdateTensors tensors) {
        requirePossible(yaml);
        return new RoundRules(
                positive(yaml, JobOptions.ROUNDS),
                new RoundRules.Quorum(
                        positive(yaml, JobOptions.MINIMUM_TRAINERS),
                        positive(yaml, JobOptions.QUORUM)),
                new RoundRules.Patience(
                        time(yaml, JobOptions.DEADLINE),
                        time(yaml, JobOptions.HEARTBEAT_TIMEOUT),
                        time(yaml, JobOptions.LINGER)),
                new RoundRules.Folding(
                        yaml.get(JobOptions.TIMING),
                        yaml.get(JobOptions.UPDATES),
                        algorithm,
                        yaml.get(JobOptions.LOCALITY),
                        tensors),
                Map.of(),
                new RoundRules.Limits(
                        positive(yaml, JobOptions.MAX_TRAINERS),
                        positive(yaml, JobOptions.MAX_SAMPLES)),
                config(yaml, algorithm),
                evaluator(yaml),
                goal(yaml));
    }

    private static RoundRules.Goal goal(JobYaml yaml) {
        Optional<String> metric = yaml.find(JobOptions.METRIC);
        Optional<Double> target = yaml.find(JobOptions.TARGET);
        Optional<Integer> noImprovement = yaml.find(JobOptions.NO_IMPROVEMENT);
        List<ConfigOption<?>> about = new ArrayList<>();
        target.ifPresent(any -> about.add(JobOptions.TARGET));
        noImprovement.ifPresent(any -> about.add(JobOptions.NO_IMPROVEMENT));
        if (metric.isPresent() && about.isEmpty()) {
            throw yaml.wrong(
                    JobOptions.METRIC,
                    "expected %s or %s with it"
                            .formatted(JobOptions.TARGET.key(), JobOptions.NO_IMPROVEMENT.key()));
        }
        if (yaml.get(JobOptions.BETTER) != RoundRules.Better.HIGHER) {
            about.add(JobOptions.BETTER);
        }
        if (metric.isEmpty() && !about.isEmpty()) {
            throw yaml.wrong(
                    about.get(0),
                    "but %s is missing, which says what is judged"
                            .formatted(JobOptions.METRIC.key()));
        }
        if (metric.filter(name -> name.isEmpty() || Metrics.kept(Map.of(name, 1.0)).isEmpty())
                .isPresent()) {
            throw yaml.wrong(
                    JobOptions.METRIC, "expected a name of 1 to 64 characters, as metrics have");
        }
        noImprovement.ifPresent(any -> positive(yaml, JobOptions.NO_IMPROVEMENT));
        if (target.filter(value -> !Double.isFinite(value)).isPresent()) {
            throw yaml.wrong(JobOptions.TARGET, "expected a finite number");
        }
        if (yaml.get(JobOptions.TIME_LIMIT).compareTo(LONGEST) > 0) {
            throw yaml.wrong(JobOptions.TIME_LIMIT, "expected at most 36500 days");
        }
        return new RoundRules.Goal(
                time(yaml, JobOptions.TIME_LIMIT),
                metric.orElse(""),
                yaml.get(JobOptions.BETTER),
                target.orElse(null),
                noImprovement.orElse(0));
    }

    private static String evaluator(JobYaml yaml) {
        Optional<String> id = yaml.find(JobOptions.EVALUATOR);
        try {
            return id.map(name -> Names.check("trainer", name)).orElse("");
        } catch (RejectedException e) {
            throw yaml.wrong(JobOptions.EVALUATOR, e.getMessage());
        }
    }

    private static Map<String, Object> config(JobYaml yaml, Algorithm algorithm) {
        try {
            return Config.ofTexts(yaml.get(JobOptions.CONFIG), algorithm.config());
        } catch (IllegalArgumentException e) {
            throw yaml.wrongMap(JobOptions.CONFIG, e.getMessage());
        }
    }

    private static void requirePossible(JobYaml yaml, Algorithm algorithm, ModelSpec model) {
        if (algorithm.gathers()) {
            requireRoomForAll(yaml, model.layout());
        }
        if (model.updates().partial() && !algorithm.rule().metrics().isEmpty()) {
            throw yaml.wrong(
                    JobOptions.PARTIAL,
                    "but algorithm '%s' weighs each update as a whole; use another, or set this to false"
                            .formatted(yaml.get(JobOptions.ALGORITHM)));
        }
    }

    /** Each pattern must stand for a tensor, and something must be left to be averaged. */
    private static void requirePersonal(JobYaml yaml, ModelLayout layout) {
        List<String> patterns = yaml.get(JobOptions.PERSONAL);
        List<String> names =
                TensorSets.model(layout.header()).stream().map(TensorInfo::name).toList();
        for (int i = 0; i < patterns.size(); i++) {
            String pattern = patterns.get(i);
            if (names.stream().noneMatch(name -> UpdateTensors.matches(pattern, name))) {
                throw yaml.wrongItem(
                        JobOptions.PERSONAL,
                        i,
                        "no tensor of the model is called '%s', expected %s"
                                .formatted(pattern, Parameters.oneOf(pattern, names)));
            }
        }
        if (names.stream().allMatch(new UpdateTensors(false, patterns)::isPersonal)) {
            throw yaml.wrongItem(
                    JobOptions.PERSONAL, 0, "all tensors are personal, so nothing is averaged");
        }
    }

    /** All updates of a round, and beside them the models that are shared. */
    private static void requireRoomForAll(JobYaml yaml, ModelLayout layout) {
        long quota = yaml.get(JobOptions.QUOTA).getBytes();
        long region = layout.maxUpdateBytes() + RegionLayout.PAYLOAD_OFFSET;
        long fit = Math.max(0, quota / region - SHARED_MODELS);
        int trainers = positive(yaml, JobOptions.MAX_TRAINERS);
        if (trainers > fit) {
            throw yaml.wrong(
                    JobOptions.ALGORITHM,
                    "which keeps all updates of a round: set %s, now %d, to at most the %d that fit into %s, now %s, or raise that"
                            .formatted(
                                    JobOptions.MAX_TRAINERS.key(),
                                    trainers,
                                    fit,
                                    JobOptions.QUOTA.key(),
                                    yaml.get(JobOptions.QUOTA).toHumanReadableString()));
        }
    }

    private static Staging staging(JobYaml yaml) {
        return new Staging(
                new PayloadStore.Place(yaml.get(JobOptions.REGIONS), nodePort(yaml)),
                yaml.get(JobOptions.QUOTA).getBytes(),
                time(yaml, JobOptions.STAGING_IDLE),
                time(yaml, JobOptions.STAGING_DEADLINE));
    }

    private static int nodePort(JobYaml yaml) {
        int port = yaml.get(JobOptions.NODE_PORT);
        if (port < 0 || port > 65535) {
            throw yaml.wrong(JobOptions.NODE_PORT, "expected 0 to 65535");
        }
        return port;
    }

    /** The transports alone, in the order of the file. */
    public List<JobTransport> transports() {
        return ways.stream().map(ConfiguredTransport::transport).toList();
    }

    /** The schemes of its transports. */
    public Set<String> schemes() {
        return transports().stream().map(JobTransport::scheme).collect(Collectors.toSet());
    }

    /** By which the job's rounds are followed: all transports say the same. */
    public JobTransport followed() {
        return transports().get(0);
    }

    /** What an operator should know of who else may speak for the job. */
    public List<String> warnings() {
        return ways.stream().flatMap(way -> way.foreign().warning(name).stream()).toList();
    }

    /** Where the job's models are. */
    public ModelStore store() {
        return ModelStore.at(models);
    }

    /** The job's graph, ready to be built. */
    public FederationJob job(Run run) {
        return new FederationJob(
                new AggregationGraph(
                        name, run, topology, rules, model, store(), Surroundings.System.HERE),
                transports(),
                publish);
    }
}
