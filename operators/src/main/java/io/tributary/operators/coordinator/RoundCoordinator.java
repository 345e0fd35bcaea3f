// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.coordinator;

import io.tributary.memory.region.JobLock;
import io.tributary.node.PayloadStore;
import io.tributary.operators.coordinator.CoordinatorState.Phase;
import io.tributary.operators.coordinator.TrainerEntry.Counted;
import io.tributary.operators.model.ModelSpec;
import io.tributary.operators.model.ModelStore;
import io.tributary.operators.model.Quarantine;
import io.tributary.operators.types.StreamType;
import io.tributary.protocol.Json;
import io.tributary.protocol.RejectReason;
import io.tributary.protocol.message.PayloadRef;
import io.tributary.protocol.message.Receipt;
import io.tributary.protocol.message.RoundStatus;
import io.tributary.protocol.message.Run;
import io.tributary.protocol.message.TrainerEvent;
import io.tributary.protocol.topology.Topology;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.apache.flink.api.common.state.ListState;
import org.apache.flink.api.common.state.ListStateDescriptor;
import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.runtime.execution.SuppressRestartsException;
import org.apache.flink.runtime.state.StateInitializationContext;
import org.apache.flink.runtime.state.StateSnapshotContext;
import org.apache.flink.runtime.state.VoidNamespace;
import org.apache.flink.runtime.state.VoidNamespaceSerializer;
import org.apache.flink.streaming.api.operators.AbstractStreamOperator;
import org.apache.flink.streaming.api.operators.BoundedOneInput;
import org.apache.flink.streaming.api.operators.OneInputStreamOperator;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;
import org.apache.flink.util.OutputTag;

/**
 * The one place where decisions are taken: who is in the round, whether an update counts, which
 * leaf takes it, when the round closes. {@link RoundStateMachine} takes them; this operator keeps
 * its state and the time, and does what it says: commands to the tree's levels go to side outputs,
 * states of the round to the main output.
 *
 * <p>Each trainer has an entry of its own in keyed state, under its id, and the operator sets the
 * key itself. So a checkpoint copies what has changed, and with an incremental backend writes no
 * more than that. What is left is one small value under the job's name. All entries are in memory
 * too, where they are read. Parallelism 1.
 */
public final class RoundCoordinator extends AbstractStreamOperator<RoundStatus>
        implements OneInputStreamOperator<InboundEvent, RoundStatus>, BoundedOneInput {

    private static final long serialVersionUID = 1L;
    private static final long TICK_MILLIS = 100;

    private static final ValueStateDescriptor<TrainerEntry> TRAINERS =
            new ValueStateDescriptor<>(
                    "trainers",
                    StreamType.binary(TrainerEntry.class, TrainerEntrySerializer.INSTANCE));

    private final String job;
    private final Run run;
    private final Topology topology;
    private final RoundRules rules;
    private final ModelSpec model;
    private final ModelStore models;
    private final int parallelism;
    private final PayloadStore.Place regions;
    private final Surroundings surroundings;

    private transient Optional<JobLock> lock;
    private transient CoordinatorMetrics metrics;

    /** Regions that the next checkpoint lets go. */
    private transient List<PayloadRef> folded;

    private transient ValueState<CoordinatorState> stateHandle;
    private transient ValueState<TrainerEntry> trainerHandle;
    private transient RoundStateMachine machine;

    /** What happens first, until it has happened. */
    private transient Optional<CoordinatorEvent> beginning;

    private transient boolean turnScheduled;

    /**
     * @param job the job's name
     * @param run this submission of it
     * @param topology who aggregates for whom
     * @param rules how rounds are run
     * @param model what the model looks like
     * @param models where models are, and what is in quarantine
     * @param parallelism of the tree's levels as the job is submitted
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
    public void initializeState(StateInitializationContext context) throws Exception {
        super.initializeState(context);
        folded = new ArrayList<>();
        TreeShape shape = TreeShape.of(topology);
        ListState<TreeShape> shapes =
                context.getOperatorStateStore()
                        .getListState(
                                new ListStateDescriptor<>(
                                        "topology", StreamType.json(TreeShape.class)));
        for (TreeShape before : shapes.get()) {
            before.requireSame(shape);
        }
        shapes.update(List.of(shape));
        // What an earlier version was to release once a checkpoint holds it: this one does.
        ListState<PayloadRef> earlier =
                context.getOperatorStateStore()
                        .getListState(
                                new ListStateDescriptor<>(
                                        "release", StreamType.json(PayloadRef.class)));
        earlier.get().forEach(folded::add);
        earlier.clear();
        stateHandle =
                context.getKeyedStateStore()
                        .getState(new ValueStateDescriptor<>("rounds", CoordinatorState.TYPE));
        trainerHandle = context.getKeyedStateStore().getState(TRAINERS);
    }

    @Override
    public void open() throws Exception {
        super.open();
        lock = Optional.empty();
        if (!regions.equals(PayloadStore.Place.NONE)) {
            lock = Optional.of(lock(regions.path()));
        }
        metrics = new CoordinatorMetrics(getMetricGroup());
        setCurrentKey(job);
        // A checkpoint from before anybody was heard has nothing to go on with.
        Optional<CoordinatorState> before = Optional.ofNullable(stateHandle.value());
        machine =
                new RoundStateMachine(
                        new RoundStateMachine.Job(job, run, topology, model.layout().shards()),
                        rules,
                        new Trust(new Quarantine(models).read()),
                        new Locations(
                                regions.manyHosts() && rules.folding().locality(),
                                topology,
                                parallelism),
                        RoundEnding.Pace.DEFAULT,
                        before.orElseGet(CoordinatorState::new));
        beginning =
                Optional.of(
                        before.isPresent()
                                ? new CoordinatorEvent.Restored(surroundings.nonce(), load())
                                : new CoordinatorEvent.Started(surroundings.nonce()));
        if (rules.cohort().isEmpty()) {
            scheduleTick();
        }
    }

    /** What a checkpoint writes is not to change meanwhile. */
    private static CoordinatorState copy(CoordinatorState state) {
        return Json.decode(Json.encode(state), CoordinatorState.class);
    }

    /**
     * Loads all trainers.
     *
     * @return whose updates, that are to be folded at the close, cannot be read any more
     */
    private Map<String, RejectReason> load() throws Exception {
        if (EarlierTrainers.in(machine.state())) {
            Map<String, TrainerEntry> earlier =
                    EarlierTrainers.take(
                            machine.state(), rules.folding().timing() == RoundRules.Timing.LAZY);
            machine.renumbered();
            for (Map.Entry<String, TrainerEntry> each : earlier.entrySet()) {
                setCurrentKey(each.getKey());
                trainerHandle.update(each.getValue());
            }
        }
        Map<String, RejectReason> lost = new HashMap<>();
        try (PayloadStore access = regions.open()) {
            getKeyedStateBackend()
                    .applyToAllKeys(
                            VoidNamespace.INSTANCE,
                            VoidNamespaceSerializer.INSTANCE,
                            TRAINERS,
                            (Object trainer, ValueState<TrainerEntry> state) -> {
                                TrainerEntry entry = state.value();
                                if (entry != null) {
                                    machine.load((String) trainer, entry);
                                    lost(entry, access)
                                            .ifPresent(why -> lost.put((String) trainer, why));
                                }
                            });
        }
        return lost;
    }

    private Optional<RejectReason> lost(TrainerEntry entry, PayloadStore access) {
        return machine.state().phase == Phase.OPEN
                ? entry.counted()
                        .filter(update -> update.opening() == machine.state().opening)
                        .flatMap(Counted::claim)
                        .flatMap(claim -> access.lost(claim.payload()))
                : Optional.empty();
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
    public void close() throws Exception {
        if (lock != null) {
            lock.ifPresent(JobLock::close);
        }
        super.close();
    }

    @Override
    public void processElement(StreamRecord<InboundEvent> record) throws Exception {
        InboundEvent inbound = record.getValue();
        if (inbound.event() instanceof TrainerEvent.UpdateStaged staged) {
            metrics.dropped(staged.claim().dropped());
        }
        happens(new CoordinatorEvent.Inbound(inbound.transport(), inbound.event()));
        // While trainers are asked, what they find out is not what training has measured.
        if (inbound.event() instanceof TrainerEvent.UpdateStaged
                && machine.state().phase != Phase.EVALUATING) {
            metrics.measured(machine.state());
        }
    }

    private void scheduleTick() {
        // A short tick rather than a timer for each deadline: one timer, nothing to take back.
        long now = getProcessingTimeService().getCurrentProcessingTime();
        getProcessingTimeService()
                .registerTimer(
                        now - now % TICK_MILLIS + TICK_MILLIS,
                        time -> {
                            happens(new CoordinatorEvent.Tick());
                            scheduleTick();
                        });
    }

    /** What was put off goes on after what waits in the mailbox by now. */
    private void scheduleTurn() {
        if (!turnScheduled && machine.busy()) {
            turnScheduled = true;
            getProcessingTimeService()
                    .registerTimer(
                            getProcessingTimeService().getCurrentProcessingTime() + 1,
                            time -> {
                                turnScheduled = false;
                                happens(new CoordinatorEvent.Turn());
                            });
        }
    }

    @Override
    public void endInput() throws Exception {
        begin();
        while (machine.busy()) {
            perform(machine.on(new CoordinatorEvent.Turn(), now()));
        }
        release();
    }

    private void happens(CoordinatorEvent event) throws Exception {
        begin();
        perform(machine.on(event, now()));
        metrics.show(machine.state());
        scheduleTurn();
    }

    private void begin() throws Exception {
        if (beginning.isPresent()) {
            CoordinatorEvent first = beginning.get();
            beginning = Optional.empty();
            List<Effect> effects;
            try {
                effects = machine.on(first, now());
            } catch (IllegalArgumentException e) {
                throw new SuppressRestartsException(e);
            }
            perform(effects);
        }
    }

    private Moment now() {
        return new Moment(surroundings.nanoTime(), surroundings.micros());
    }

    private void perform(List<Effect> effects) throws Exception {
        for (Effect effect : effects) {
            perform(effect);
        }
    }

    private void perform(Effect effect) throws Exception {
        if (effect instanceof Effect.Command command) {
            emit(CoordinatorOutputs.level(command.level()), command.input());
        } else if (effect instanceof Effect.Answer answer) {
            if (answer.receipt().receipt().status() == Receipt.Status.DUPLICATE) {
                metrics.duplicate();
            }
            emit(CoordinatorOutputs.RECEIPTS, answer.receipt());
        } else if (effect instanceof Effect.Remember remember) {
            setCurrentKey(remember.trainer());
            trainerHandle.update(remember.entry());
        } else if (effect instanceof Effect.Forget forget) {
            setCurrentKey(forget.trainer());
            trainerHandle.clear();
        } else if (effect instanceof Effect.Release release) {
            if (release.checkpointed()) {
                folded.add(release.payload());
            } else {
                emit(
                        CoordinatorOutputs.RELEASES,
                        new RegionReleases(List.of(release.payload()), false));
            }
        } else if (effect instanceof Effect.Show show) {
            output.collect(new StreamRecord<>(show.status()));
        } else if (effect instanceof Effect.Announce announce) {
            emit(CoordinatorOutputs.PLANS, announce.plan());
        } else if (effect instanceof Effect.Record record) {
            emit(CoordinatorOutputs.LEDGERS, record.part());
        } else if (effect instanceof Effect.Evaluate evaluate) {
            emit(CoordinatorOutputs.EVALUATIONS, evaluate.evaluation());
        } else if (effect instanceof Effect.Report report) {
            metrics.rejected(report.letter().reason());
            emit(CoordinatorOutputs.DEAD_LETTERS, report.letter());
        }
    }

    private <T> void emit(OutputTag<T> tag, T value) {
        output.collect(tag, new StreamRecord<>(value));
    }

    /**
     * All aggregators have been told before to fold or to forget what is released here, so the
     * checkpoint that begins now holds their folds.
     */
    @Override
    public void prepareSnapshotPreBarrier(long checkpoint) {
        release();
    }

    private void release() {
        for (int from = 0; from < folded.size(); from += RegionReleases.MOST) {
            int to = Math.min(from + RegionReleases.MOST, folded.size());
            emit(
                    CoordinatorOutputs.RELEASES,
                    new RegionReleases(List.copyOf(folded.subList(from, to)), true));
        }
        folded.clear();
    }

    @Override
    public void snapshotState(StateSnapshotContext context) throws Exception {
        super.snapshotState(context);
        if (!(beginning.orElse(null) instanceof CoordinatorEvent.Started)) {
            setCurrentKey(job);
            stateHandle.update(copy(machine.state()));
        }
    }
}
