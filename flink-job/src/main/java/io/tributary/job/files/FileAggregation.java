// SPDX-License-Identifier: Apache-2.0

package io.tributary.job.files;

import io.tributary.job.graph.AggregationGraph;
import io.tributary.job.graph.TreeSchemas;
import io.tributary.job.graph.WorkDirectory;
import io.tributary.memory.region.TensorFile;
import io.tributary.node.PayloadStore;
import io.tributary.operators.coordinator.CoordinatorOutputs;
import io.tributary.operators.coordinator.RoundRules;
import io.tributary.operators.coordinator.RoundRules.Timing;
import io.tributary.operators.coordinator.Surroundings;
import io.tributary.operators.model.ModelSpec;
import io.tributary.operators.model.PosixModelStore;
import io.tributary.operators.model.PublishedModel;
import io.tributary.operators.optimizer.Algorithm;
import io.tributary.operators.types.StreamType;
import io.tributary.protocol.RejectedException;
import io.tributary.protocol.message.Run;
import io.tributary.protocol.message.UpdateKind;
import io.tributary.protocol.tensor.ModelLayout;
import io.tributary.protocol.tensor.SafetensorsHeader;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.IntStream;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.CoreOptions;
import org.apache.flink.configuration.JobManagerOptions;
import org.apache.flink.configuration.RestartStrategyOptions;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.util.CloseableIterator;

/**
 * One round over files, as a bounded job of the same operators. It folds at the close, shard after
 * shard, so that only few accumulators live whatever the number and the size of files.
 *
 * @param updates the files, at least one
 * @param base the model that they are deltas to; without, they are weights
 * @param out the file to write
 * @param tiers 2, 3 or 4, files included
 * @param fanIn children of a node below the top, ≥ 1
 */
public record FileAggregation(
        List<FileUpdate> updates, Optional<Path> base, Path out, int tiers, int fanIn) {

    private static final String JOB = "aggregate";
    private static final TypeInformation<Outcome> OUTCOME = StreamType.json(Outcome.class);

    /**
     * What the job says at the end.
     *
     * @param rejected what was wrong with a file, or with the mean; empty for a model
     * @param model the model's file; empty where there is none
     */
    public record Outcome(String rejected, String model) {}

    private static Outcome outcome(PublishedModel published) {
        String rejected = published.description().rejected();
        return new Outcome(rejected, rejected.isEmpty() ? published.path() : "");
    }

    static String trainer(int index) {
        return "file-" + index;
    }

    /**
     * Runs the job.
     *
     * @return what was rejected, in the order of the files' arrival; with none, the model is there
     */
    public List<String> run() throws Exception {
        Path layoutOf = base.orElseGet(() -> Path.of(updates.get(0).path()));
        // Said here rather than by the first operator that needs it.
        SafetensorsHeader header = SafetensorsHeader.read(layoutOf);
        base.ifPresent(file -> checkBase(file, header));
        ModelSpec model =
                new ModelSpec(
                        layoutOf.toAbsolutePath().toString(),
                        ModelSpec.DEFAULT_SHARD_ELEMENTS,
                        base.isPresent() ? UpdateKind.DELTA : UpdateKind.WEIGHTS);
        // On the file system of the result, which then only has to be renamed.
        Path beside = out.toAbsolutePath().getParent();
        try (WorkDirectory work = WorkDirectory.create("aggregate");
                WorkDirectory models = WorkDirectory.create(beside, ".tributary-aggregate")) {
            return run(model, PosixModelStore.at(models.path()), environment(work));
        }
    }

    private static void checkBase(Path base, SafetensorsHeader header) {
        try (TensorFile file = TensorFile.open(base)) {
            file.check(new ModelLayout(header, ModelSpec.DEFAULT_SHARD_ELEMENTS));
        } catch (RejectedException e) {
            throw new RejectedException(e.reason(), base + ": " + e.getMessage());
        }
    }

    private List<String> run(
            ModelSpec model, PosixModelStore models, StreamExecutionEnvironment env)
            throws Exception {
        AggregationGraph.Outputs outputs =
                new AggregationGraph(
                                JOB,
                                Run.draw(),
                                TreeSchemas.of(tiers, groups().stream().distinct().toList(), 1),
                                rules(model.kind()),
                                model,
                                models,
                                new Surroundings.Known(0))
                        .build(
                                env.fromData(Types.INT, indices())
                                        .name("files")
                                        .uid("source-files")
                                        .rebalance()
                                        .map(new FileClaims(JOB, model, new ArrayList<>(updates)))
                                        .returns(CoordinatorOutputs.INBOUND)
                                        .name("check files")
                                        .uid("check-files"),
                                PayloadStore.Place.NONE,
                                Optional.empty());
        DataStream<Outcome> outcomes =
                outputs.deadLetters()
                        .map(letter -> new Outcome(letter.text(), ""))
                        .returns(OUTCOME)
                        .uid("rejected")
                        .union(
                                outputs.models()
                                        .map(FileAggregation::outcome)
                                        .returns(OUTCOME)
                                        .uid("done"));
        List<String> rejected = new ArrayList<>();
        Optional<Path> mean = Optional.empty();
        try (CloseableIterator<Outcome> all = outcomes.executeAndCollect(JOB)) {
            while (all.hasNext()) {
                Outcome outcome = all.next();
                if (outcome.rejected().isEmpty()) {
                    mean = Optional.of(Path.of(outcome.model()));
                } else {
                    rejected.add(outcome.rejected());
                }
            }
        }
        if (mean.isEmpty() && rejected.isEmpty()) {
            throw new IllegalStateException("the job ended without a model");
        }
        if (mean.isPresent()) {
            PosixModelStore.replace(mean.get(), out.toAbsolutePath());
        }
        return rejected;
    }

    private static StreamExecutionEnvironment environment(WorkDirectory work) {
        Configuration configuration = new Configuration();
        configuration.set(CoreOptions.TMP_DIRS, work.path().toString());
        configuration.set(RestartStrategyOptions.RESTART_STRATEGY, "none");
        configuration.set(JobManagerOptions.BIND_HOST, "127.0.0.1");
        return StreamExecutionEnvironment.createLocalEnvironment(
                Runtime.getRuntime().availableProcessors(), configuration);
    }

    private Integer[] indices() {
        return IntStream.range(0, updates.size()).boxed().toArray(Integer[]::new);
    }

    /** The group of each file: the path of the nodes above it. */
    private List<String> groups() {
        return IntStream.range(0, updates.size())
                .mapToObj(
                        file -> {
                            int leaf = file / fanIn;
                            return switch (tiers) {
                                case 2 -> "default";
                                case 3 -> "m" + leaf;
                                default -> "m" + leaf / fanIn + "/l" + leaf;
                            };
                        })
                .toList();
    }

    private RoundRules rules(UpdateKind kind) {
        List<String> groups = groups();
        Map<String, String> cohort = new HashMap<>();
        for (int i = 0; i < groups.size(); i++) {
            cohort.put(trainer(i), groups.get(i));
        }
        return new RoundRules(
                1,
                new RoundRules.Quorum(updates.size(), updates.size()),
                new RoundRules.Patience(Duration.ZERO, Duration.ZERO, Duration.ofHours(1)),
                new RoundRules.Folding(Timing.LAZY, kind, Algorithm.FEDAVG, true),
                cohort,
                new RoundRules.Limits(updates.size(), Long.MAX_VALUE));
    }
}
