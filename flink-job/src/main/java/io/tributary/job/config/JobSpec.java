// SPDX-License-Identifier: Apache-2.0

package io.tributary.job.config;

import io.tributary.job.graph.AggregationGraph;
import io.tributary.job.graph.FederationJob;
import io.tributary.job.graph.JobListener;
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
import java.util.function.Supplier;
import java.util.stream.Collectors;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.util.IOUtils;

/**
 * A job as {@code job.yaml} describes it. Immutable.
 *
 * @param name the job's name
 * @param topologies who aggregates for whom, of each model by its group of the root's channel
 * @param rules how rounds are run
 * @param model what the model looks like
 * @param models where models are written, a directory or a URI
 * @param ways how the job speaks with trainers
 * @param publish when models leave
 * @param checkpointInterval time between checkpoints
 * @param checkpoints where they are written, a URI
 * @param parallelism of sources and aggregators; Flink's default without
 * @param algorithmJar the jar with its algorithm, unless that is one of Tributary's
 * @param notes what of Flame's files is not followed
 */
public record JobSpec(
        String name,
        Map<String, Topology> topologies,
        RoundRules rules,
        ModelSpec model,
        String models,
        List<ConfiguredTransport> ways,
        Publish publish,
        Duration checkpointInterval,
        String checkpoints,
        Optional<Integer> parallelism,
        Optional<Path> algorithmJar,
        List<String> notes) {

    /** The newest, the one before, and one that is being written. */
    private static final int SHARED_MODELS = 3;

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
        Map<String, Topology> topologies =
                Topology.readEach(existing(yaml, JobOptions.TOPOLOGY, directory), Optional.empty());
        List<String> notes =
                yaml.find(JobOptions.MODEL_SPEC)
                        .map(any -> existing(yaml, JobOptions.MODEL_SPEC, directory))
                        .map(found -> FlameModelSpec.read(found, yaml))
                        .orElse(List.of());
        AlgorithmJar algorithm = AlgorithmJar.read(yaml, directory);
        ModelSpec model =
                new ModelSpec(
                        initial(yaml, directory),
                        yaml.positive(JobOptions.SHARD),
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
        requireNames(yaml, name, topologies);
        return new JobSpec(
                name,
                topologies,
                RoundSettings.read(yaml, algorithm.algorithm(), model.updates()),
                model,
                place(yaml.get(JobOptions.MODELS), directory),
                TransportSettings.read(yaml, staging(yaml)),
                yaml.get(JobOptions.PUBLISH),
                interval(yaml),
                uri(yaml.get(JobOptions.CHECKPOINTS), directory),
                yaml.find(JobOptions.PARALLELISM)
                        .map(ignored -> yaml.positive(JobOptions.PARALLELISM)),
                algorithm.jar(),
                notes);
    }

    /** Of several models, each has a name that a job may have. */
    private static void requireNames(JobYaml yaml, String name, Map<String, Topology> topologies) {
        for (String group : topologies.keySet()) {
            try {
                Names.check("job", topologies.size() > 1 ? modelName(name, group) : name);
            } catch (RejectedException e) {
                throw yaml.wrong(JobOptions.NAME, e.getMessage());
            }
        }
    }

    private static String modelName(String name, String group) {
        return "%s.%s".formatted(name, group.replace('/', '.'));
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
        int trainers = yaml.positive(JobOptions.MAX_TRAINERS);
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
                yaml.time(JobOptions.STAGING_IDLE),
                yaml.time(JobOptions.STAGING_DEADLINE));
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
        List<String> warnings = new ArrayList<>();
        for (JobModel its : jobModels()) {
            ways.forEach(way -> way.foreign().warning(its.job()).ifPresent(warnings::add));
        }
        return warnings;
    }

    /** The models that the job makes: one, unless the root's channel has several groups. */
    public List<JobModel> jobModels() {
        if (topologies.size() == 1) {
            return List.of(new JobModel("", name, topologies.values().iterator().next(), models));
        }
        List<JobModel> all = new ArrayList<>();
        topologies.forEach(
                (group, topology) -> {
                    String tag = group.replace('/', '.');
                    all.add(
                            new JobModel(
                                    tag,
                                    modelName(name, group),
                                    topology,
                                    models.replaceAll("/+$", "") + "/" + tag));
                });
        return all;
    }

    /**
     * The job's graphs, one for each model, ready to be built.
     *
     * @param runs draws the run of each: who ends one must not end another
     */
    public List<FederationJob> jobs(Supplier<Run> runs) {
        return jobModels().stream().map(model -> job(model, runs.get())).toList();
    }

    /**
     * Adds all that the job is to an environment, and makes the directories of its models.
     *
     * @throws IOException when they cannot be made
     */
    public void build(StreamExecutionEnvironment env) throws IOException {
        for (JobModel its : jobModels()) {
            its.store().create();
        }
        for (FederationJob its : jobs(Run::draw)) {
            its.build(env);
        }
    }

    /**
     * Shows what is said of the rounds of all models, until closed.
     *
     * @param seen by which the job is followed
     */
    public AutoCloseable follow(JobTransport seen, JobListener listener) {
        List<AutoCloseable> open = new ArrayList<>();
        try {
            for (JobModel its : jobModels()) {
                open.add(seen.follow(its.job(), listener));
            }
        } catch (RuntimeException e) {
            IOUtils.closeAllQuietly(open);
            throw e;
        }
        return () -> IOUtils.closeAll(open);
    }

    private FederationJob job(JobModel its, Run run) {
        return new FederationJob(
                new AggregationGraph(
                        its.job(),
                        run,
                        its.topology(),
                        rules,
                        model,
                        its.store(),
                        Surroundings.System.HERE,
                        its.tag()),
                transports(),
                publish);
    }
}
