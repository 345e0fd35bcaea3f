// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.coordinator;

import io.tributary.node.PayloadStore;
import io.tributary.operators.aggregate.AggregatorInput;
import io.tributary.operators.coordinator.Admission.Verdict;
import io.tributary.operators.coordinator.CoordinatorState.AcceptedUpdate;
import io.tributary.operators.coordinator.CoordinatorState.Phase;
import io.tributary.protocol.RejectReason;
import io.tributary.protocol.message.Claim;
import io.tributary.protocol.message.RoundStatus;
import io.tributary.protocol.message.TrainerEvent;
import io.tributary.protocol.topology.Topology;
import java.util.List;
import java.util.Optional;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** What happens at one event or tick. */
final class RoundStateMachine {

    private static final Logger LOG = LoggerFactory.getLogger(RoundStateMachine.class);

    private final Policies policies;
    private final Services services;
    private final RoundEvents.SideOutput side;
    private final CoordinatorState state;
    private final RoundEvents events;
    private boolean changed;

    /** What decides. None of them reads a clock or does I/O. */
    record Policies(
            Topology topology,
            RoundRules rules,
            Admission admission,
            Trust trust,
            RoundLifecycle lifecycle,
            LeafAssigner assigner,
            TrainerRegistry registry,
            FoldPlanner planner) {}

    /** What connects decisions with the world. */
    record Services(
            String job,
            CoordinatorMetrics metrics,
            PayloadStore regions,
            CheckpointedReleases releases,
            Locations locations,
            JobTime time,
            Surroundings surroundings) {}

    /**
     * @param events who tells of what happens
     * @param side where commands go
     */
    RoundStateMachine(
            Policies policies,
            Services services,
            RoundEvents events,
            RoundEvents.SideOutput side,
            CoordinatorState state) {
        this.policies = policies;
        this.services = services;
        this.events = events;
        this.side = side;
        this.state = state;
        services.time().advance(state, services.surroundings().nanoTime());
    }

    void update(Claim claim) {
        Verdict verdict = foreign(claim).orElseGet(() -> policies.admission().judge(state, claim));
        if (verdict instanceof Verdict.Count) {
            Optional<Verdict.Reject> rejected =
                    policies.trust().judge(claim).or(() -> unreadable(claim));
            if (rejected.isPresent()) {
                services.regions().release(claim.payload());
                events.rejected(claim, rejected.get());
            } else {
                count(claim);
            }
        } else if (verdict instanceof Verdict.Reject reject) {
            services.regions().release(claim.payload());
            events.rejected(claim, reject);
        } else {
            spare(claim);
            if (!promisesAtClose() || !state.id().equals(claim.id())) {
                events.duplicate(claim);
            }
        }
        changed = true;
    }

    /**
     * Nobody speaks for a trainer over another transport than its own, which may know its clients
     * better.
     */
    private Optional<Verdict> foreign(Claim claim) {
        return state.speaksOver(claim.trainer(), events.transport())
                ? Optional.empty()
                : Optional.of(
                        Verdict.Reject.of(
                                RejectReason.UNKNOWN_TRAINER,
                                claim,
                                "the trainer has joined over another transport than %s; join over this one"
                                        .formatted(events.transport())));
    }

    /** Releases a duplicate, which may be the very region that counts, claimed again. */
    private void spare(Claim claim) {
        if (state.phase != Phase.OPEN || !state.id().equals(claim.id())) {
            services.releases().whenCheckpointed(claim.payload());
        } else if (!state.counts(claim.payload())) {
            services.regions().release(claim.payload());
        }
    }

    /** Why an update that would have to be read from another host cannot be. */
    private Optional<Verdict.Reject> unreadable(Claim claim) {
        boolean here =
                claim.payload().node().isEmpty()
                        || state.affinities.containsKey(claim.payload().node());
        return here ? Optional.empty() : lost(claim);
    }

    private Optional<Verdict.Reject> lost(Claim claim) {
        return services.regions()
                .lost(claim.payload())
                .map(
                        reason ->
                                Verdict.Reject.of(
                                        reason,
                                        claim,
                                        reason == RejectReason.NODE_LOST
                                                ? "node lost: %s; send it again"
                                                        .formatted(claim.payload().node())
                                                : "its region %s is gone; send it again"
                                                        .formatted(claim.payload().path())));
    }

    /**
     * Whether an update is promised to count only when the round closes: until then it is in no
     * sum, and if its region is lost, so is the update.
     */
    private boolean promisesAtClose() {
        return policies.rules().folding().algorithm().gathers();
    }

    private void count(Claim claim) {
        state.count(claim, state.members.get(claim.trainer()), services.surroundings().micros());
        policies.planner().counted(state, state.counted.get(claim.trainer()), this::command);
        if (policies.rules().folding().timing() == RoundRules.Timing.EAGER) {
            services.releases().whenCheckpointed(claim.payload());
        }
        if (!promisesAtClose()) {
            events.counted(claim);
        }
        LOG.debug("round {}: counted {}", claim.id(), claim.trainer());
    }

    void control(TrainerEvent.Control control) {
        services.time().heard(state, services.surroundings().nanoTime());
        changed |= policies.registry().take(control, state, events);
    }

    void rejected(TrainerEvent.InputRejected rejected) {
        events.rejected(rejected);
        changed = true;
    }

    void room(TrainerEvent.CapacityFreed room) {
        events.room(room);
    }

    void expire() {
        if (policies.rules().patience().heartbeatTimeout().isZero()) {
            return;
        }
        for (String trainer :
                state.silent(policies.rules().patience().heartbeatTimeout().toNanos())) {
            LOG.info(
                    "trainer {} was not heard of for {}",
                    trainer,
                    policies.rules().patience().heartbeatTimeout());
            state.remove(trainer);
            changed = true;
        }
    }

    void end() throws Exception {
        RoundLifecycle.Verdict verdict = judge();
        while (verdict != RoundLifecycle.Verdict.NOTHING) {
            if (verdict == RoundLifecycle.Verdict.CLOSE) {
                dropLost();
                verdict = judge();
            }
            switch (verdict) {
                case NOTHING -> {}
                case OPEN -> open();
                case CLOSE -> close();
                case ABANDON -> abandon();
                case END -> endJob();
                default -> throw new AssertionError(verdict);
            }
            verdict = judge();
            changed = true;
        }
        services.metrics().show(state);
    }

    private RoundLifecycle.Verdict judge() {
        RoundLifecycle.Verdict verdict = policies.lifecycle().judge(state);
        boolean early = verdict == RoundLifecycle.Verdict.OPEN && !services.locations().known();
        return early ? RoundLifecycle.Verdict.NOTHING : verdict;
    }

    /** Whether the world should hear of it. */
    boolean changed() {
        return changed;
    }

    /** Says how the round stands. */
    void status() {
        events.status(shown());
    }

    private RoundStatus.State shown() {
        return switch (state.phase) {
            case WAITING -> RoundStatus.State.WAITING;
            case OPEN -> RoundStatus.State.OPEN;
            case FINISHED, ENDED -> RoundStatus.State.FINISHED;
        };
    }

    private void open() {
        policies.assigner().place(state);
        state.open(
                policies.lifecycle().deadline(state),
                policies.topology(),
                services.locations().affinities(),
                services.locations().parallelism(),
                policies.rules().folding().way());
        events.plan();
    }

    private void endJob() {
        state.phase = Phase.ENDED;
        LOG.info("job {} has done its rounds and ends", services.job());
        events.plan();
    }

    /** Updates that were to be folded at the close, and cannot be. */
    void dropLost() {
        if (policies.rules().folding().timing() != RoundRules.Timing.LAZY) {
            return;
        }
        for (AcceptedUpdate update : List.copyOf(state.counted.values())) {
            Claim claim = update.claim();
            Optional<Verdict.Reject> broken = policies.trust().judge(claim);
            broken.ifPresent(ignored -> services.regions().release(claim.payload()));
            Optional<Verdict.Reject> lost = broken.or(() -> lost(claim));
            if (lost.isPresent()) {
                state.counted.remove(claim.trainer());
                if (state.members.containsKey(claim.trainer())) {
                    state.awaited.add(claim.trainer());
                }
                events.lost(claim, lost.get());
                changed = true;
            }
        }
    }

    private void close() {
        policies.planner().closed(state, this::command);
        if (policies.rules().folding().timing() == RoundRules.Timing.LAZY) {
            releaseCounted();
        }
        if (promisesAtClose()) {
            state.counted.values().forEach(update -> events.counted(update.claim()));
        }
        events.ledger();
        events.status(RoundStatus.State.CLOSED);
        LOG.info(
                "round {} closed: {} updates, {} rejected, {} duplicates, {} missing",
                state.id(),
                state.counted.size(),
                state.rejected,
                state.duplicates,
                state.awaited.size());
        state.close(policies.rules().rounds(), policies.lifecycle().end(state));
        if (state.phase == Phase.FINISHED) {
            events.plan();
        }
    }

    private void abandon() {
        policies.planner().abandoned(state, this::command);
        if (policies.rules().folding().timing() == RoundRules.Timing.LAZY) {
            releaseCounted();
        }
        events.status(RoundStatus.State.ABANDONED);
        LOG.info(
                "round {} abandoned at its deadline: {} updates, the quorum is {}",
                state.id(),
                state.counted.size(),
                policies.rules().quorum().updates());
        state.abandon();
    }

    private void releaseCounted() {
        state.counted.values().stream()
                .map(AcceptedUpdate::claim)
                .map(Claim::payload)
                .forEach(services.releases()::whenCheckpointed);
    }

    void announceAgain() {
        if (state.phase != Phase.WAITING) {
            events.plan();
        }
    }

    private void command(int level, AggregatorInput command) {
        side.emit(CoordinatorOutputs.level(level), command);
    }
}
