// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.coordinator;

import io.tributary.memory.region.JobLock;
import io.tributary.node.PayloadStore;
import io.tributary.operators.coordinator.CoordinatorState.Member;
import io.tributary.operators.model.ModelSpec;
import io.tributary.operators.model.ModelStore;
import io.tributary.operators.model.Quarantine;
import io.tributary.operators.types.StreamType;
import io.tributary.protocol.message.PayloadRef;
import io.tributary.protocol.message.RoundStatus;
import io.tributary.protocol.message.Run;
import io.tributary.protocol.message.TrainerEvent;
import io.tributary.protocol.topology.Topology;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.api.common.state.CheckpointListener;
import org.apache.flink.api.common.state.ListState;
import org.apache.flink.api.common.state.ListStateDescriptor;
import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.runtime.execution.SuppressRestartsException;
import org.apache.flink.runtime.state.FunctionInitializationContext;
import org.apache.flink.runtime.state.FunctionSnapshotContext;
import org.apache.flink.streaming.api.checkpoint.CheckpointedFunction;
import org.apache.flink.streaming.api.functions.KeyedProcessFunction;
import org.apache.flink.util.Collector;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The one place where decisions are taken: who is in the round, whether an update counts, which
 * leaf takes it, when the round closes. Keyed by job. The policies decide; this class holds their
 * state, keeps the time and says what was decided: commands to the tree's levels, and side outputs.
 */
public final class RoundCoordinator extends KeyedProcessFunction<String, InboundEvent, RoundStatus>
        implements CheckpointedFunction, CheckpointListener {

    private static final long serialVersionUID = 1L;
    private static final Logger LOG = LoggerFactory.getLogger(RoundCoordinator.class);
    private static final long TICK_MILLIS = 100;

    /** Nothing has come that is to be answered. */
    private static final String NO_TRANSPORT = "";

    private final String job;
    private final Run run;
    private final Topology topology;
    private final RoundRules rules;
    private final ModelSpec model;
    private final ModelStore models;
    private final int parallelism;
    private final PayloadStore.Place regions;
    private final Surroundings surroundings;

    private transient PayloadStore access;
    private transient Optional<JobLock> lock;

    private transient RoundStateMachine.Policies policies;
    private transient RoundStateMachine.Services services;
    private transient ValueState<CoordinatorState> stateHandle;
    private transient ListState<PayloadRef> releaseHandle;
    private transient ListState<TreeShape> shapeHandle;
    private transient boolean restored;
    private transient boolean statusDue;

    /**
     * @param job the job's name
     * @param run this submission of it
     * @param topology who aggregates for whom
     * @param rules how rounds are run
     * @param model what the model looks like
     * @param models where models are, and what is in quarantine
     * @param parallelism of the tree's levels
     * @param regions where payloads are; where there is a region directory, one job of a name may
     *     be
     * @param surroundings clock and chance
     */
    public RoundCoordinator(
            String job,
            Run run,
            Topology topology,
            RoundRules rules,
            ModelSpec model,
            ModelStore models,
            int parallelism,
            PayloadStore.Place regions,
            Surroundings surroundings) {
        this.surroundings = surroundings;
        this.parallelism = parallelism;
        this.regions = regions;
        this.job = job;
        this.run = run;
        this.topology = topology;
        this.rules = rules;
        this.model = model;
        this.models = models;
    }

    @Override
    public void initializeState(FunctionInitializationContext context) throws Exception {
        restored = context.isRestored();
        access = regions.open();
        TreeShape shape = TreeShape.of(topology);
        shapeHandle =
                context.getOperatorStateStore()
                        .getListState(
                                new ListStateDescriptor<>(
                                        "topology", StreamType.json(TreeShape.class)));
        for (TreeShape before : shapeHandle.get()) {
            before.requireSame(shape);
        }
        shapeHandle.update(List.of(shape));
        releaseHandle =
                context.getOperatorStateStore()
                        .getListState(
                                new ListStateDescriptor<>(
                                        "release", StreamType.json(PayloadRef.class)));
        // The checkpoint that this restores from is complete, and holds their folds.
        for (PayloadRef payload : releaseHandle.get()) {
            access.release(payload);
        }
    }

    @Override
    public void open(OpenContext context) throws InterruptedException {
        lock = Optional.empty();
        if (!regions.equals(PayloadStore.Place.NONE)) {
            lock = Optional.of(lock(regions.path()));
        }
        LeafAssigner assigner = new LeafAssigner(topology);
        policies =
                new RoundStateMachine.Policies(
                        topology,
                        rules,
                        new Admission(job, rules.folding().kind(), rules.limits().maxSamples()),
                        new Trust(new Quarantine(models).read()),
                        new RoundLifecycle(rules),
                        assigner,
                        new TrainerRegistry(topology, assigner, rules.limits().maxTrainers()),
                        new FoldPlanner(topology, rules.folding(), model.layout().shards()));
        services =
                new RoundStateMachine.Services(
                        job,
                        new CoordinatorMetrics(getRuntimeContext().getMetricGroup()),
                        access,
                        new CheckpointedReleases(access),
                        new Locations(
                                regions.manyHosts() && rules.folding().locality(),
                                topology,
                                parallelism),
                        new JobTime(surroundings.nanoTime(), rules.patience().heartbeatTimeout()),
                        surroundings);
        stateHandle =
                getRuntimeContext()
                        .getState(new ValueStateDescriptor<>("rounds", CoordinatorState.TYPE));
    }

    private JobLock lock(Path directory) throws InterruptedException {
        return JobLock.acquire(directory, job, run.id())
                .orElseThrow(
                        () ->
                                new SuppressRestartsException(
                                        new IllegalStateException(
                                                "a job named '%s' runs already on this host (%s); topics and regions belong to a name, so cancel it or choose another"
                                                        .formatted(
                                                                job,
                                                                JobLock.holder(directory, job)
                                                                        .map(Object::toString)
                                                                        .orElse("")))));
    }

    @Override
    public void close() {
        if (lock != null) {
            lock.ifPresent(JobLock::close);
        }
        if (access != null) {
            access.close();
        }
    }

    @Override
    public void processElement(InboundEvent inbound, Context context, Collector<RoundStatus> out)
            throws Exception {
        RoundStateMachine rounds = rounds(inbound.transport(), context, out);
        TrainerEvent event = inbound.event();
        if (event instanceof TrainerEvent.UpdateStaged staged) {
            rounds.update(staged.claim());
        } else if (event instanceof TrainerEvent.Control control) {
            rounds.control(control);
        } else if (event instanceof TrainerEvent.InputRejected rejected) {
            rounds.rejected(rejected);
        } else if (event instanceof TrainerEvent.CapacityFreed room) {
            rounds.room(room);
        } else if (event instanceof TrainerEvent.SubtaskLocated located) {
            services.locations().take(located);
        }
        end(rounds);
    }

    @Override
    public void onTimer(long time, OnTimerContext context, Collector<RoundStatus> out)
            throws Exception {
        RoundStateMachine rounds = rounds(NO_TRANSPORT, context, out);
        rounds.expire();
        end(rounds);
        // A round with many updates is not to be a status message for each.
        if (statusDue) {
            rounds.status();
            statusDue = false;
        }
        schedule(context);
    }

    private void schedule(Context context) {
        // A short tick rather than a timer for each deadline: one timer, nothing to take back.
        long now = context.timerService().currentProcessingTime();
        context.timerService().registerProcessingTimeTimer(now - now % TICK_MILLIS + TICK_MILLIS);
    }

    /**
     * @param transport by which the event came that is to be handled
     */
    private RoundStateMachine rounds(String transport, Context context, Collector<RoundStatus> out)
            throws Exception {
        CoordinatorState state = stateHandle.value();
        if (state == null) {
            // A checkpoint from before anybody was heard has nothing to go on with.
            restored = false;
            state = new CoordinatorState();
            state.begin(false, surroundings.nonce());
            stateHandle.update(state);
            for (String trainer : rules.cohort().keySet().stream().sorted().toList()) {
                String group = rules.cohort().get(trainer);
                String leaf = policies.assigner().leaf(group, state).orElseThrow();
                state.join(trainer, new Member("", group, leaf, NO_TRANSPORT, 0));
            }
            if (rules.cohort().isEmpty()) {
                schedule(context);
            }
            end(machine(NO_TRANSPORT, context, out, state));
        } else if (restored) {
            restored = false;
            requireSameWay(state);
            state.begin(true, surroundings.nonce());
            RoundStateMachine rounds = machine(NO_TRANSPORT, context, out, state);
            rounds.announceAgain();
            rounds.dropLost();
        }
        return machine(transport, context, out, state);
    }

    /** Updates that were folded would be folded again, or those that were kept never. */
    private void requireSameWay(CoordinatorState state) {
        String way = rules.folding().way();
        if (state.phase == CoordinatorState.Phase.OPEN
                && !state.way.isEmpty()
                && !state.way.equals(way)) {
            throw new SuppressRestartsException(
                    new IllegalArgumentException(
                            "round %s is open and is %s, this job's rounds are %s; resume with the algorithm and the timing of before until the round has closed"
                                    .formatted(state.id(), state.way, way)));
        }
    }

    private RoundStateMachine machine(
            String transport, Context context, Collector<RoundStatus> out, CoordinatorState state) {
        RoundEvents events =
                new RoundEvents(
                        new RoundEvents.Speaker(job, run, transport),
                        rules,
                        state,
                        context::output,
                        out,
                        services.metrics());
        return new RoundStateMachine(policies, services, events, context::output, state);
    }

    private void end(RoundStateMachine rounds) throws Exception {
        rounds.end();
        statusDue |= rounds.changed();
        // The same object: what it says by now is to be in the next checkpoint.
        stateHandle.update(stateHandle.value());
    }

    @Override
    public void snapshotState(FunctionSnapshotContext context) throws Exception {
        releaseHandle.update(services.releases().snapshot(context.getCheckpointId()));
    }

    @Override
    public void notifyCheckpointComplete(long checkpoint) {
        services.releases().completed(checkpoint);
    }
}
