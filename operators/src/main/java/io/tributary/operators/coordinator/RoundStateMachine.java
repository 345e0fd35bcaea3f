// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.coordinator;

import io.tributary.operators.coordinator.Admission.Verdict;
import io.tributary.operators.coordinator.CoordinatorEvent.Inbound;
import io.tributary.operators.coordinator.CoordinatorEvent.Restored;
import io.tributary.operators.coordinator.CoordinatorEvent.Started;
import io.tributary.operators.coordinator.CoordinatorEvent.Tick;
import io.tributary.operators.coordinator.CoordinatorEvent.Turn;
import io.tributary.operators.coordinator.CoordinatorState.Phase;
import io.tributary.operators.coordinator.TrainerEntry.Counted;
import io.tributary.protocol.RejectReason;
import io.tributary.protocol.message.Claim;
import io.tributary.protocol.message.ControlMessage;
import io.tributary.protocol.message.PayloadRef;
import io.tributary.protocol.message.RoundStatus;
import io.tributary.protocol.message.Run;
import io.tributary.protocol.message.TrainerEvent;
import io.tributary.protocol.message.TrainerShare;
import io.tributary.protocol.topology.Topology;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The coordinator without Flink: an event comes, and what is to be done is returned. It reads no
 * clock and does no I/O. Who keeps {@link CoordinatorState} and the entries of {@link Trainers}, as
 * {@link Effect.Remember} and {@link Effect.Forget} say, can go on with them. Not thread-safe.
 */
@Policy
final class RoundStateMachine {

    private static final Logger LOG = LoggerFactory.getLogger(RoundStateMachine.class);

    private final Job job;
    private final RoundRules rules;
    private final CoordinatorState state;
    private final Set<String> decisive;
    private final Admission admission;
    private final Trust trust;
    private final RoundLifecycle lifecycle;
    private final TrainerRegistry registry;
    private final Evaluations evaluations;
    private final LeafAssigner assigner;
    private final FoldPlanner planner;
    private final RoundEnding ending;
    private final Locations locations;
    private final RoundEvents events;
    private final JobTime time;

    /** Whether the world has not yet heard of something. */
    private boolean statusDue;

    /** Whether there are trainers left over that have been silent for too long. */
    private boolean moreToExpire;

    /**
     * The job whose rounds these are.
     *
     * @param name its name
     * @param run this submission of it
     * @param topology who aggregates for whom
     * @param shards of the model
     */
    record Job(String name, Run run, Topology topology, int shards) {}

    /**
     * @param trust whose word is taken
     * @param locations where aggregators are
     * @param pace how much is said at once of a round that has ended
     * @param state what a checkpoint holds besides trainers, or a new one
     */
    RoundStateMachine(
            Job job,
            RoundRules rules,
            Trust trust,
            Locations locations,
            RoundEnding.Pace pace,
            CoordinatorState state) {
        this.job = job;
        this.rules = rules;
        this.trust = trust;
        this.locations = locations;
        this.state = state;
        Topology topology = job.topology();
        this.decisive = rules.decisiveInUpdates();
        this.admission = new Admission(job.name(), rules);
        this.evaluations = new Evaluations(job.run(), rules);
        this.lifecycle = new RoundLifecycle(rules, evaluations);
        this.registry =
                new TrainerRegistry(
                        topology,
                        rules.limits().maxTrainers(),
                        rules.patience().heartbeatTimeout());
        this.assigner = new LeafAssigner(topology);
        this.planner = new FoldPlanner(topology, rules.folding(), job.shards());
        this.ending = new RoundEnding(topology, rules.folding(), planner, job.shards(), pace);
        this.events = new RoundEvents(job.name(), job.run(), rules, state);
        this.time = new JobTime(rules.patience().heartbeatTimeout());
        state.trainers = new Trainers(events::changed);
        renumbered();
    }

    /** The state's openings have their numbers now, which an earlier version did not give them. */
    void renumbered() {
        boolean evaluating = state.phase == Phase.EVALUATING;
        state.trainers.begin(
                state.opening,
                evaluating ? state.asking.who() : TrainerShare.ALL,
                evaluating || state.phase == Phase.OPEN,
                state.phase == Phase.CLOSING);
    }

    /** Takes the entry of a trainer from a checkpoint, before the first event. */
    void load(String trainer, TrainerEntry entry) {
        state.trainers.load(trainer, entry);
    }

    /**
     * An event happens.
     *
     * @return what is to be done, in this order; valid until the next event
     * @throws IllegalArgumentException when a job goes on in another way than its open round
     */
    List<Effect> on(CoordinatorEvent event, Moment now) {
        events.begin(event instanceof Inbound inbound ? inbound.transport() : "");
        time.advance(state, now.nanos());
        if (event instanceof Inbound inbound) {
            take(inbound.event(), now);
        } else if (event instanceof Tick) {
            tick();
        } else if (event instanceof Turn) {
            turn();
        } else if (event instanceof Started started) {
            start(started);
        } else if (event instanceof Restored restored) {
            restore(restored);
        }
        advance();
        return events.effects();
    }

    /**
     * Whether something was put off, so that others need not wait: it wants a {@link Turn} soon.
     */
    boolean busy() {
        return state.phase == Phase.CLOSING || moreToExpire;
    }

    /** What a checkpoint needs besides the entries of trainers. */
    CoordinatorState state() {
        return state;
    }

    private void start(Started started) {
        state.begin(false, started.nonce());
        evaluations.begin(state);
        registry.admit(rules.cohort(), state);
    }

    private void restore(Restored restored) {
        state.trainers.loaded();
        lifecycle.requireSame(state);
        state.begin(true, restored.nonce());
        evaluations.begin(state);
        if (state.phase != Phase.WAITING && state.phase != Phase.CLOSING) {
            events.plan();
        }
        if (planner.atClose() && state.phase == Phase.OPEN) {
            drop(restored.lost());
            state.measured = Measured.of(state.trainers, decisive);
        }
    }

    /** Updates that were to be folded at the close, and cannot be. */
    private void drop(Map<String, RejectReason> lost) {
        for (int place = 0; place < state.trainers.places(); place++) {
            Optional<Claim> claim = state.trainers.update(place).flatMap(Counted::claim);
            if (claim.isPresent()) {
                drop(place, claim.get(), Optional.ofNullable(lost.get(claim.get().trainer())));
            }
        }
    }

    private void drop(int place, Claim claim, Optional<RejectReason> lost) {
        Optional<Verdict.Reject> broken = trust.judge(claim);
        Optional<Verdict.Reject> why =
                broken.or(() -> lost.map(reason -> Verdict.Reject.lost(reason, claim)));
        if (why.isPresent()) {
            state.trainers.uncount(place);
            if (broken.isPresent()) {
                // One that is only out of reach may come back, and count.
                events.release(claim.payload(), false);
            }
            events.lost(claim, why.get());
            statusDue = true;
        }
    }

    private void take(TrainerEvent event, Moment now) {
        if (event instanceof TrainerEvent.UpdateStaged staged) {
            update(staged.claim(), now);
            statusDue = true;
        } else if (event instanceof TrainerEvent.Control control) {
            time.heard(state, now.nanos());
            statusDue |=
                    control.message().type() == ControlMessage.Type.EVALUATION
                            ? evaluations.take(control.message(), state, events)
                            : registry.take(control, state, events);
        } else if (event instanceof TrainerEvent.InputRejected rejected) {
            events.rejected(rejected);
            statusDue = true;
        } else if (event instanceof TrainerEvent.CapacityFreed room) {
            events.room(room);
        } else if (event instanceof TrainerEvent.SubtaskLocated located) {
            locations.take(located);
        }
    }

    private void update(Claim claim, Moment now) {
        Verdict verdict =
                admission
                        .foreign(state, claim, events.transport())
                        .orElseGet(() -> admission.judge(state, claim));
        if (verdict instanceof Verdict.Count) {
            verdict = trust.judge(claim).<Verdict>map(reject -> reject).orElse(verdict);
        }
        if (verdict instanceof Verdict.Count) {
            count(claim, now);
        } else if (verdict instanceof Verdict.Reject reject) {
            if (!state.trainers.counts(claim.trainer(), claim.payload())) {
                events.release(claim.payload(), false);
            }
            events.rejected(claim, reject);
        } else {
            spare(claim);
            if (!promisesAtClose() || !open(claim)) {
                events.duplicate(claim);
            }
        }
    }

    /** Whether an update is for the round that is open, or is closing: what counts is in use. */
    private boolean open(Claim claim) {
        return state.phase == Phase.OPEN && state.id().equals(claim.id())
                || state.ending().map(c -> c.round().equals(claim.id())).orElse(false);
    }

    /** Releases a duplicate, which may be the very region that counts, claimed again. */
    private void spare(Claim claim) {
        PayloadRef payload = claim.payload();
        if (!open(claim)) {
            events.release(payload, true);
        } else if (!state.trainers.counts(claim.trainer(), payload)) {
            events.release(payload, false);
        }
    }

    /**
     * Whether an update is promised to count only when the round closes: until then it is in no
     * sum, and if its region is lost, so is the update.
     */
    private boolean promisesAtClose() {
        return rules.folding().algorithm().gathers();
    }

    private void count(Claim claim, Moment now) {
        TrainerEntry trainer = state.trainers.member(claim.trainer()).orElseThrow();
        Counted update =
                Counted.of(
                        claim,
                        state.opening,
                        state.trainers.places(),
                        assigner.leaf(trainer.group(), state),
                        state.deal(job.topology()).host(claim),
                        planner.atClose());
        state.trainers.count(claim.trainer(), update, state::closed);
        state.lastUpdateMicros = now.micros();
        state.measured.add(claim, trainer.group(), decisive);
        planner.counted(state, update, claim, events);
        if (!planner.atClose()) {
            events.release(claim.payload(), true);
        }
        if (!promisesAtClose()) {
            events.counted(claim);
        }
    }

    private void tick() {
        turn();
        // A round with many updates is not to be a status message for each.
        if (statusDue) {
            statusDue = false;
            events.status();
        }
    }

    private void turn() {
        TrainerRegistry.Expired expired = registry.expire(state);
        moreToExpire = expired.more();
        for (String trainer : expired.trainers()) {
            LOG.info(
                    "trainer {} was not heard of for {}",
                    trainer,
                    rules.patience().heartbeatTimeout());
            statusDue = true;
        }
        if (state.phase == Phase.CLOSING) {
            sayEnding();
        }
    }

    /** Takes the decisions that are due. */
    private void advance() {
        for (RoundLifecycle.Verdict verdict = judge();
                verdict != RoundLifecycle.Verdict.NOTHING;
                verdict = judge()) {
            statusDue = true;
            switch (verdict) {
                case EVALUATE -> evaluations.ask(state, events);
                case EVALUATED -> evaluations.summarize(state, events);
                case OPEN -> open();
                case CLOSE -> close();
                case ABANDON -> abandon();
                case FINISH -> {
                    state.finish(lifecycle.end(state));
                    events.plan();
                }
                case END -> endJob();
                default -> throw new AssertionError(verdict);
            }
        }
    }

    private RoundLifecycle.Verdict judge() {
        RoundLifecycle.Verdict verdict = lifecycle.judge(state);
        boolean early = verdict == RoundLifecycle.Verdict.OPEN && !locations.known();
        return early ? RoundLifecycle.Verdict.NOTHING : verdict;
    }

    private void open() {
        state.open(
                lifecycle.deadline(state),
                job.topology(),
                locations.affinities(),
                locations.parallelism(),
                rules.folding().way());
        events.plan();
    }

    private void endJob() {
        state.phase = Phase.ENDED;
        LOG.info("job {} ends", job.name());
        // There is no tick any more for what is due.
        events.status();
        events.plan();
    }

    private void close() {
        evaluations.closing(state);
        events.status(RoundStatus.State.CLOSED);
        LOG.info(
                "round {} closed: {} updates, {} rejected or duplicate, {} missing",
                state.id(),
                state.trainers.counted(),
                state.rejected + state.duplicates,
                state.trainers.awaited());
        state.slots = rules.folding().algorithm().optimizer().slots();
        boolean more = state.round < rules.rounds() && !evaluations.enough(state);
        state.close(more, evaluations.follows(state.round), lifecycle.end(state));
        sayEnding();
    }

    private void abandon() {
        state.note =
                "round %s had %d updates at its deadline, the quorum is %d (rounds.quorum); it begins again"
                        .formatted(state.id(), state.trainers.counted(), rules.quorum().updates());
        events.status(RoundStatus.State.ABANDONED);
        LOG.info("abandoned: {}", state.note);
        state.abandon();
        sayEnding();
    }

    /** Says some of what follows from the end of a round. */
    private void sayEnding() {
        if (ending.say(state, events)) {
            state.ended();
            if (state.phase == Phase.FINISHED) {
                events.plan();
            }
        }
    }
}
