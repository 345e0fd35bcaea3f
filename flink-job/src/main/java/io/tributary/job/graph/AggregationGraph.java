// SPDX-License-Identifier: Apache-2.0

package io.tributary.job.graph;

import io.tributary.memory.region.RegionPool;
import io.tributary.node.PayloadStore;
import io.tributary.operators.aggregate.AggregatorInput;
import io.tributary.operators.aggregate.AggregatorOperator;
import io.tributary.operators.aggregate.NodeShard;
import io.tributary.operators.aggregate.PartialSumOperator;
import io.tributary.operators.aggregate.TopOperator;
import io.tributary.operators.coordinator.CoordinatorOutputs;
import io.tributary.operators.coordinator.InboundEvent;
import io.tributary.operators.coordinator.OutboundReceipt;
import io.tributary.operators.coordinator.RegionReleases;
import io.tributary.operators.coordinator.RoundCoordinator;
import io.tributary.operators.coordinator.RoundRules;
import io.tributary.operators.coordinator.Surroundings;
import io.tributary.operators.model.ModelPublisher;
import io.tributary.operators.model.ModelShard;
import io.tributary.operators.model.ModelSpec;
import io.tributary.operators.model.ModelStore;
import io.tributary.operators.model.PublishedModel;
import io.tributary.operators.types.StreamType;
import io.tributary.protocol.message.DeadLetter;
import io.tributary.protocol.message.Evaluation;
import io.tributary.protocol.message.RoundLedger;
import io.tributary.protocol.message.RoundPlan;
import io.tributary.protocol.message.RoundStatus;
import io.tributary.protocol.message.Run;
import io.tributary.protocol.topology.Topology;
import java.util.List;
import java.util.Optional;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.core.memory.ManagedMemoryUseCase;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.datastream.KeyedStream;
import org.apache.flink.streaming.api.datastream.SingleOutputStreamOperator;

/**
 * The graph between sources and sinks: coordinator, one stage for each aggregator level, publisher.
 * It is the same for every transport.
 *
 * @param job the job's name
 * @param run this submission of it
 * @param topology who aggregates for whom
 * @param rules how rounds are run
 * @param model what the model looks like
 * @param models where models are written
 * @param surroundings the coordinator's clock and chance
 * @param tag tells its operators from those of other models in the same Flink job; empty where
 *     there is one model
 */
public record AggregationGraph(
        String job,
        Run run,
        Topology topology,
        RoundRules rules,
        ModelSpec model,
        ModelStore models,
        Surroundings surroundings,
        String tag) {

    /** The only one in its Flink job. */
    public AggregationGraph(
            String job,
            Run run,
            Topology topology,
            RoundRules rules,
            ModelSpec model,
            ModelStore models,
            Surroundings surroundings) {
        this(job, run, topology, rules, model, models, surroundings, "");
    }

    /** An operator's uid, which no other model's has. */
    String uid(String uid) {
        return uid(uid, tag);
    }

    /** The same of the model with that tag. */
    public static String uid(String uid, String tag) {
        return tag.isEmpty() ? uid : "%s@%s".formatted(uid, tag);
    }

    /** An operator's name, for people. */
    String name(String name) {
        return tag.isEmpty() ? name : "%s of %s".formatted(name, tag);
    }

    /** Type of published models. */
    public static final TypeInformation<PublishedModel> MODEL =
            StreamType.json(PublishedModel.class);

    /** What the uids of the tree's levels begin with. */
    public static final String LEVEL_UID = "aggregate-";

    private static final List<String> LEVEL_NAMES = List.of("leaf", "middle", "top");

    /**
     * What comes out.
     *
     * @param status how the round stands
     * @param plans what trainers are to do
     * @param receipts answers to trainers, each with the transport by which it goes
     * @param ledgers which updates are in a model
     * @param evaluations what the evaluator has found out about models
     * @param deadLetters what was rejected
     * @param releases regions to be given back
     * @param shards the global models' shards, as the top emits them
     * @param models the global models
     */
    public record Outputs(
            DataStream<RoundStatus> status,
            DataStream<RoundPlan> plans,
            DataStream<OutboundReceipt> receipts,
            DataStream<RoundLedger> ledgers,
            DataStream<Evaluation> evaluations,
            DataStream<DeadLetter> deadLetters,
            DataStream<RegionReleases> releases,
            DataStream<ModelShard> shards,
            DataStream<PublishedModel> models) {}

    /**
     * Adds the graph behind {@code events}.
     *
     * @param regions where regions are
     * @param partials where partial sums lie; without, they pass through Flink's network
     */
    public Outputs build(
            DataStream<InboundEvent> events,
            PayloadStore.Place regions,
            Optional<RegionPool.Place> partials) {
        SingleOutputStreamOperator<RoundStatus> coordinator = coordinator(events, regions);
        SingleOutputStreamOperator<ModelShard> top = tree(coordinator, regions, partials);
        SingleOutputStreamOperator<PublishedModel> published =
                top.connect(coordinator.getSideOutput(CoordinatorOutputs.LEDGERS))
                        .process(
                                new ModelPublisher(
                                        job,
                                        run.id(),
                                        model,
                                        models,
                                        regions,
                                        partials,
                                        surroundings),
                                MODEL)
                        .name(name("model publisher"))
                        .uid(uid("model-publisher"))
                        .setParallelism(1)
                        .setMaxParallelism(1);
        return new Outputs(
                coordinator,
                coordinator.getSideOutput(CoordinatorOutputs.PLANS),
                coordinator.getSideOutput(CoordinatorOutputs.RECEIPTS),
                published.getSideOutput(ModelPublisher.LEDGERS),
                coordinator.getSideOutput(CoordinatorOutputs.EVALUATIONS),
                coordinator.getSideOutput(CoordinatorOutputs.DEAD_LETTERS),
                coordinator.getSideOutput(CoordinatorOutputs.RELEASES),
                top,
                published);
    }

    private SingleOutputStreamOperator<RoundStatus> coordinator(
            DataStream<InboundEvent> events, PayloadStore.Place regions) {
        // The closure of a key selector is serialised; it should hold the name alone.
        String key = job;
        return events.keyBy(event -> key, Types.STRING)
                .transform(
                        name("round coordinator"),
                        CoordinatorOutputs.STATUS,
                        new RoundCoordinator(
                                job,
                                run,
                                topology,
                                rules,
                                model,
                                models,
                                events.getExecutionEnvironment().getParallelism(),
                                regions,
                                surroundings))
                .uid(uid("round-coordinator"))
                .setParallelism(1)
                .setMaxParallelism(1);
    }

    /** The levels of the tree, each fed by the one below it and by the coordinator. */
    private SingleOutputStreamOperator<ModelShard> tree(
            SingleOutputStreamOperator<RoundStatus> coordinator,
            PayloadStore.Place regions,
            Optional<RegionPool.Place> partials) {
        int levels = topology.nodes().size();
        Optional<String> group = coLocationGroup(regions);
        DataStream<AggregatorInput> input = coordinator.getSideOutput(CoordinatorOutputs.level(0));
        for (int level = 0; level < levels - 1; level++) {
            SingleOutputStreamOperator<AggregatorInput> sums =
                    keyed(input)
                            .transform(
                                    name(levelName(levels, level)),
                                    AggregatorInput.TYPE,
                                    new PartialSumOperator(
                                            model, models, regions, partials, surroundings))
                            .uid(uid(level));
            group.ifPresent(sums.getTransformation()::setCoLocationGroupKey);
            takesManagedMemory(sums);
            input = sums.union(coordinator.getSideOutput(CoordinatorOutputs.level(level + 1)));
        }
        SingleOutputStreamOperator<ModelShard> top =
                keyed(input)
                        .transform(
                                name(levelName(levels, levels - 1)),
                                ModelShard.TYPE,
                                new TopOperator(
                                        model,
                                        models,
                                        regions,
                                        partials,
                                        rules.folding().algorithm(),
                                        surroundings))
                        .uid(uid(levels - 1));
        group.ifPresent(top.getTransformation()::setCoLocationGroupKey);
        takesManagedMemory(top);
        return top;
    }

    /** For sums that find no room in a region; otherwise a backend would take all there is. */
    private static void takesManagedMemory(SingleOutputStreamOperator<?> level) {
        level.getTransformation()
                .declareManagedMemoryUseCaseAtOperatorScope(ManagedMemoryUseCase.OPERATOR, 1);
    }

    /**
     * What makes subtasks of one number sit in one slot, so that a source's word about where it is
     * holds for the tree's as well.
     */
    static Optional<String> coLocationGroup(PayloadStore.Place regions) {
        return regions.manyHosts() ? Optional.of("tree") : Optional.empty();
    }

    private static KeyedStream<AggregatorInput, NodeShard> keyed(
            DataStream<AggregatorInput> input) {
        return input.keyBy(AggregatorOperator.KEY, NodeShard.TYPE);
    }

    /** Uids derive from role names, so that a level keeps its state when others come or go. */
    private String uid(int level) {
        return uids(topology, tag).get(level);
    }

    /** The uids of a tree's levels, the lowest first. */
    public static List<String> uids(Topology topology, String tag) {
        List<String> roles = topology.levels();
        return roles.subList(1, roles.size()).stream()
                .map(role -> uid(LEVEL_UID + role, tag))
                .toList();
    }

    /** The names that people use: counted from the top, because the top is always there. */
    private static String levelName(int levels, int level) {
        return LEVEL_NAMES.get(LEVEL_NAMES.size() - levels + level);
    }
}
