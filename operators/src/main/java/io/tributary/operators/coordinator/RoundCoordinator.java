// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.coordinator;

import io.tributary.operators.aggregate.AggregatorInput;
import io.tributary.operators.coordinator.Admission.Verdict;
import io.tributary.operators.coordinator.CoordinatorState.Counted;
import io.tributary.operators.coordinator.CoordinatorState.Member;
import io.tributary.operators.coordinator.CoordinatorState.Phase;
import io.tributary.operators.model.ModelSpec;
import io.tributary.operators.types.StreamType;
import io.tributary.protocol.RejectReason;
import io.tributary.protocol.message.Arrival;
import io.tributary.protocol.message.Claim;
import io.tributary.protocol.message.ControlMessage;
import io.tributary.protocol.message.PayloadRef;
import io.tributary.protocol.message.RoundStatus;
import io.tributary.protocol.topology.Topology;
import io.tributary.shm.region.JobLock;
import io.tributary.shm.region.RegionDirectory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.List;
import java.util.Map;
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
public final class RoundCoordinator extends KeyedProcessFunction<String, Arrival, RoundStatus>
        implements CheckpointedFunction, CheckpointListener {

    private static final long serialVersionUID = 1L;
    private static final Logger LOG = LoggerFactory.getLogger(RoundCoordinator.class);
    private static final long TICK_MILLIS = 100;

    /** Longer than Flink takes by default to end the tasks of a job manager that died. */
    private static final Duration LOCK_PATIENCE = Duration.ofSeconds(70);

    private final String job;
    private final String run;
    private final Topology topology;
    private final RoundRules rules;
    private final ModelSpec model;

    /** At most one; unlike an Optional, a list can be shipped. */
    private final List<String> regions;

    private transient Optional<JobLock> lock;

    private transient Admission admission;
    private transient Closing closing;
    private transient Placement placement;
    private transient Membership membership;
    private transient TreeCommands tree;
    private transient CoordinatorMetrics metrics;
    private transient RegionRelease release;
    private transient ValueState<CoordinatorState> stateHandle;
    private transient ListState<PayloadRef> releaseHandle;
    private transient ListState<TreeShape> shapeHandle;
    private transient boolean restored;
    private transient boolean statusDue;
    private transient long startedAt;

    /**
     * @param job the job's name
     * @param run this submission of it
     * @param topology who aggregates for whom
     * @param rules how rounds are run
     * @param model what the model looks like
     * @param regions the region directory, where one job of a name may be
     */
    public RoundCoordinator(
            String job,
            String run,
            Topology topology,
            RoundRules rules,
            ModelSpec model,
            Optional<String> regions) {
        this.regions = regions.stream().toList();
        this.job = job;
        this.run = run;
        this.topology = topology;
        this.rules = rules;
        this.model = model;
    }

    @Override
    public void initializeState(FunctionInitializationContext context) throws Exception {
        restored = context.isRestored();
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
            RegionDirectory.release(payload);
        }
    }

    @Override
    public void open(OpenContext context) throws InterruptedException {
        lock = Optional.empty();
        if (!regions.isEmpty()) {
            lock = Optional.of(lock(Path.of(regions.get(0))));
        }
        admission = new Admission(job, rules.kind());
        closing = new Closing(rules);
        placement = new Placement(topology);
        membership = new Membership(topology, placement);
        tree = new TreeCommands(topology, rules.timing(), model.layout().shards());
        metrics = new CoordinatorMetrics(getRuntimeContext().getMetricGroup());
        release = new RegionRelease();
        startedAt = System.currentTimeMillis();
        stateHandle =
                getRuntimeContext()
                        .getState(new ValueStateDescriptor<>("rounds", CoordinatorState.TYPE));
    }

    private JobLock lock(Path directory) throws InterruptedException {
        return JobLock.acquire(directory, job, run, LOCK_PATIENCE)
                .orElseThrow(
                        () ->
                                new SuppressRestartsException(
                                        new IllegalStateException(
                                                "a job named '%s' runs already on this host (%s); topics and regions belong to a name, so cancel it or choose another"
                                                        .formatted(
                                                                job,
                                                                JobLock.holder(directory, job)))));
    }

    @Override
    public void close() {
        if (lock != null) {
            lock.ifPresent(JobLock::close);
        }
    }

    @Override
    public void processElement(Arrival arrival, Context context, Collector<RoundStatus> out)
            throws Exception {
        Turn turn = new Turn(context, out, state(context, out));
        if (arrival instanceof Arrival.Staged staged) {
            turn.update(staged.claim());
        } else if (arrival instanceof Arrival.Control control) {
            turn.control(control.message());
        } else if (arrival instanceof Arrival.Refused refused) {
            turn.refused(refused);
        } else if (arrival instanceof Arrival.Room room) {
            turn.room(room);
        }
        turn.end();
    }

    @Override
    public void onTimer(long time, OnTimerContext context, Collector<RoundStatus> out)
            throws Exception {
        Turn turn = new Turn(context, out, state(context, out));
        turn.expire();
        turn.end();
        turn.statusIfDue();
        schedule(context);
    }

    private void schedule(Context context) {
        // A short tick rather than a timer for each deadline: one timer, nothing to take back.
        long now = context.timerService().currentProcessingTime();
        context.timerService().registerProcessingTimeTimer(now - now % TICK_MILLIS + TICK_MILLIS);
    }

    private CoordinatorState state(Context context, Collector<RoundStatus> out) throws Exception {
        CoordinatorState state = stateHandle.value();
        if (state == null) {
            state = new CoordinatorState();
            for (String trainer : rules.cohort().keySet().stream().sorted().toList()) {
                String group = rules.cohort().get(trainer);
                String leaf = placement.leaf(group, state).orElseThrow();
                state.members.put(trainer, new Member("", group, leaf, System.currentTimeMillis()));
            }
            if (rules.cohort().isEmpty()) {
                schedule(context);
            }
            new Turn(context, out, state).end();
        } else if (restored) {
            restored = false;
            state.epoch++;
            state.restores++;
            Turn turn = new Turn(context, out, state);
            turn.announceAgain();
            turn.dropLost();
        }
        return state;
    }

    @Override
    public void snapshotState(FunctionSnapshotContext context) throws Exception {
        releaseHandle.update(release.snapshot(context.getCheckpointId()));
    }

    @Override
    public void notifyCheckpointComplete(long checkpoint) {
        release.completed(checkpoint);
    }

    /** What happens at one arrival or tick. */
    private final class Turn {

        private final Context context;
        private final CoordinatorState state;
        private final Announcer announcer;
        private boolean changed;

        Turn(Context context, Collector<RoundStatus> out, CoordinatorState state) {
            this.context = context;
            this.state = state;
            this.announcer = new Announcer(job, run, rules, state, context::output, out, metrics);
        }

        void update(Claim claim) {
            Verdict verdict = admission.judge(state, claim);
            if (verdict instanceof Verdict.Count) {
                count(claim);
            } else if (verdict instanceof Verdict.Reject reject) {
                RegionDirectory.release(claim.payload());
                announcer.rejected(claim, reject);
            } else {
                spare(claim);
                announcer.duplicate(claim);
            }
            changed = true;
        }

        /** Releases a duplicate, which may be the very region that counts, claimed again. */
        private void spare(Claim claim) {
            if (state.phase != Phase.OPEN || !state.id().equals(claim.id())) {
                release.whenCheckpointed(claim.payload());
            } else if (!state.counts(claim.payload())) {
                RegionDirectory.release(claim.payload());
            }
        }

        private void count(Claim claim) {
            state.count(
                    claim,
                    state.members.get(claim.trainer()),
                    ChronoUnit.MICROS.between(Instant.EPOCH, Instant.now()));
            tree.counted(state.counted.get(claim.trainer()), this::command);
            if (rules.timing() == RoundRules.Timing.EAGER) {
                release.whenCheckpointed(claim.payload());
            }
            announcer.counted(claim);
            LOG.debug("round {}: counted {}", claim.id(), claim.trainer());
        }

        void control(ControlMessage message) {
            changed |= membership.take(message, state, announcer);
        }

        void refused(Arrival.Refused refused) {
            announcer.refused(refused);
            changed = true;
        }

        void room(Arrival.Room room) {
            announcer.room(room);
        }

        void expire() {
            if (rules.heartbeatTimeout().isZero()) {
                return;
            }
            long oldest = System.currentTimeMillis() - rules.heartbeatTimeout().toMillis();
            // After a restore all had no chance to be heard; they get one full timeout.
            if (startedAt > oldest) {
                return;
            }
            List<String> silent =
                    state.members.entrySet().stream()
                            .filter(m -> m.getValue().lastSeen() < oldest)
                            .map(Map.Entry::getKey)
                            .toList();
            for (String trainer : silent) {
                LOG.info("trainer {} was not heard of for {}", trainer, rules.heartbeatTimeout());
                state.remove(trainer);
                changed = true;
            }
        }

        void end() throws Exception {
            Closing.Verdict verdict = closing.judge(state, System.currentTimeMillis());
            while (verdict != Closing.Verdict.NOTHING) {
                if (verdict == Closing.Verdict.CLOSE) {
                    dropLost();
                    verdict = closing.judge(state, System.currentTimeMillis());
                }
                switch (verdict) {
                    case NOTHING -> {}
                    case OPEN -> open();
                    case CLOSE -> close();
                    case ABANDON -> abandon();
                    case END -> endJob();
                    default -> throw new AssertionError(verdict);
                }
                verdict = closing.judge(state, System.currentTimeMillis());
                changed = true;
            }
            statusDue |= changed;
            metrics.show(state);
            stateHandle.update(state);
        }

        /** A round with many updates is not to be a status message for each. */
        void statusIfDue() {
            if (statusDue) {
                announcer.status(shown());
                statusDue = false;
            }
        }

        private RoundStatus.State shown() {
            return switch (state.phase) {
                case WAITING -> RoundStatus.State.WAITING;
                case OPEN -> RoundStatus.State.OPEN;
                case FINISHED, ENDED -> RoundStatus.State.FINISHED;
            };
        }

        private void open() {
            placement.place(state);
            state.open(closing.deadline(System.currentTimeMillis()), topology);
            announcer.plan();
        }

        private void endJob() {
            state.phase = Phase.ENDED;
            LOG.info("job {} has done its rounds and ends", job);
            announcer.plan();
        }

        /** Updates that were to be folded at the close, and whose regions are gone. */
        void dropLost() {
            if (rules.timing() != RoundRules.Timing.LAZY) {
                return;
            }
            for (Counted update : List.copyOf(state.counted.values())) {
                Claim claim = update.claim();
                if (claim.payload().region() && !Files.exists(Path.of(claim.payload().path()))) {
                    state.counted.remove(claim.trainer());
                    announcer.rejected(
                            claim,
                            new Verdict.Reject(
                                    RejectReason.PAYLOAD_LOST,
                                    "update from trainer %s for round %s: its region %s is gone; send it again"
                                            .formatted(
                                                    claim.trainer(),
                                                    claim.id(),
                                                    claim.payload().path())));
                    changed = true;
                }
            }
        }

        private void close() {
            tree.closed(state, this::command);
            if (rules.timing() == RoundRules.Timing.LAZY) {
                releaseCounted();
            }
            announcer.ledger();
            announcer.status(RoundStatus.State.CLOSED);
            LOG.info(
                    "round {} closed: {} updates, {} rejected, {} duplicates, {} missing",
                    state.id(),
                    state.counted.size(),
                    state.rejected,
                    state.duplicates,
                    state.awaited.size());
            state.close(rules.rounds(), closing.end(System.currentTimeMillis()));
            if (state.phase == Phase.FINISHED) {
                announcer.plan();
            }
        }

        private void abandon() {
            tree.abandoned(state, this::command);
            if (rules.timing() == RoundRules.Timing.LAZY) {
                releaseCounted();
            }
            announcer.status(RoundStatus.State.ABANDONED);
            LOG.info(
                    "round {} abandoned at its deadline: {} updates, the quorum is {}",
                    state.id(),
                    state.counted.size(),
                    rules.quorum());
            state.abandon();
        }

        private void releaseCounted() {
            state.counted.values().stream()
                    .map(Counted::claim)
                    .map(Claim::payload)
                    .forEach(release::whenCheckpointed);
        }

        void announceAgain() {
            if (state.phase != Phase.WAITING) {
                announcer.plan();
            }
        }

        private void command(int level, AggregatorInput command) {
            context.output(CoordinatorOutputs.level(level), command);
        }
    }
}
