// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.coordinator;

import io.tributary.operators.aggregate.AggregatorInput;
import io.tributary.operators.coordinator.Admission.Verdict;
import io.tributary.operators.coordinator.CoordinatorState.Counted;
import io.tributary.operators.coordinator.CoordinatorState.Phase;
import io.tributary.protocol.RejectReason;
import io.tributary.protocol.message.Arrival;
import io.tributary.protocol.message.Claim;
import io.tributary.protocol.message.RoundStatus;
import io.tributary.protocol.message.Run;
import io.tributary.protocol.topology.Topology;
import io.tributary.shm.node.RegionAccess;
import java.util.List;
import java.util.Optional;
import org.apache.flink.util.Collector;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** What happens at one arrival or tick. */
final class Turn {

    private static final Logger LOG = LoggerFactory.getLogger(Turn.class);

    private final Policies policies;
    private final Announcer.SideOutput side;
    private final CoordinatorState state;
    private final Announcer announcer;
    private boolean changed;

    /** What decides, and what is told. */
    record Policies(
            String job,
            Run run,
            Topology topology,
            RoundRules rules,
            Admission admission,
            Trust trust,
            Closing closing,
            Placement placement,
            Membership membership,
            TreeCommands tree,
            CoordinatorMetrics metrics,
            RegionAccess regions,
            RegionRelease release,
            Locations locations,
            JobTime time,
            Surroundings surroundings) {}

    Turn(
            Policies policies,
            Announcer.SideOutput side,
            Collector<RoundStatus> out,
            CoordinatorState state) {
        this.policies = policies;
        this.side = side;
        this.state = state;
        policies.time().advance(state, policies.surroundings().nanoTime());
        this.announcer =
                new Announcer(
                        policies.job(),
                        policies.run(),
                        policies.rules(),
                        state,
                        side,
                        out,
                        policies.metrics());
    }

    void update(Claim claim) {
        Verdict verdict = policies.admission().judge(state, claim);
        if (verdict instanceof Verdict.Count) {
            Optional<Verdict.Reject> refused =
                    policies.trust().judge(claim).or(() -> unreadable(claim));
            if (refused.isPresent()) {
                policies.regions().release(claim.payload());
                announcer.rejected(claim, refused.get());
            } else {
                count(claim);
            }
        } else if (verdict instanceof Verdict.Reject reject) {
            policies.regions().release(claim.payload());
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
            policies.release().whenCheckpointed(claim.payload());
        } else if (!state.counts(claim.payload())) {
            policies.regions().release(claim.payload());
        }
    }

    /** Why an update that would have to be read from another host cannot be. */
    private Optional<Verdict.Reject> unreadable(Claim claim) {
        boolean here =
                claim.payload().node().isEmpty() || state.homes.containsKey(claim.payload().node());
        return here ? Optional.empty() : lost(claim);
    }

    private Optional<Verdict.Reject> lost(Claim claim) {
        return policies.regions()
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

    private void count(Claim claim) {
        state.count(claim, state.members.get(claim.trainer()), policies.surroundings().micros());
        policies.tree().counted(state, state.counted.get(claim.trainer()), this::command);
        if (policies.rules().timing() == RoundRules.Timing.EAGER) {
            policies.release().whenCheckpointed(claim.payload());
        }
        announcer.counted(claim);
        LOG.debug("round {}: counted {}", claim.id(), claim.trainer());
    }

    void control(Arrival.Control control) {
        policies.time().heard(state, policies.surroundings().nanoTime());
        changed |= policies.membership().take(control, state, announcer);
    }

    void refused(Arrival.Refused refused) {
        announcer.refused(refused);
        changed = true;
    }

    void room(Arrival.Room room) {
        announcer.room(room);
    }

    void expire() {
        if (policies.rules().heartbeatTimeout().isZero()) {
            return;
        }
        for (String trainer : state.silent(policies.rules().heartbeatTimeout().toNanos())) {
            LOG.info(
                    "trainer {} was not heard of for {}",
                    trainer,
                    policies.rules().heartbeatTimeout());
            state.remove(trainer);
            changed = true;
        }
    }

    void end() throws Exception {
        Closing.Verdict verdict = judge();
        while (verdict != Closing.Verdict.NOTHING) {
            if (verdict == Closing.Verdict.CLOSE) {
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
        policies.metrics().show(state);
    }

    private Closing.Verdict judge() {
        Closing.Verdict verdict = policies.closing().judge(state);
        boolean early = verdict == Closing.Verdict.OPEN && !policies.locations().known();
        return early ? Closing.Verdict.NOTHING : verdict;
    }

    /** Whether the world should hear of it. */
    boolean changed() {
        return changed;
    }

    /** Says how the round stands. */
    void status() {
        announcer.status(shown());
    }

    private RoundStatus.State shown() {
        return switch (state.phase) {
            case WAITING -> RoundStatus.State.WAITING;
            case OPEN -> RoundStatus.State.OPEN;
            case FINISHED, ENDED -> RoundStatus.State.FINISHED;
        };
    }

    private void open() {
        policies.placement().place(state);
        state.open(
                policies.closing().deadline(state),
                policies.topology(),
                policies.locations().homes(),
                policies.locations().parallelism());
        announcer.plan();
    }

    private void endJob() {
        state.phase = Phase.ENDED;
        LOG.info("job {} has done its rounds and ends", policies.job());
        announcer.plan();
    }

    /** Updates that were to be folded at the close, and cannot be. */
    void dropLost() {
        if (policies.rules().timing() != RoundRules.Timing.LAZY) {
            return;
        }
        for (Counted update : List.copyOf(state.counted.values())) {
            Claim claim = update.claim();
            Optional<Verdict.Reject> broken = policies.trust().judge(claim);
            broken.ifPresent(ignored -> policies.regions().release(claim.payload()));
            Optional<Verdict.Reject> lost = broken.or(() -> lost(claim));
            if (lost.isPresent()) {
                state.counted.remove(claim.trainer());
                if (state.members.containsKey(claim.trainer())) {
                    state.awaited.add(claim.trainer());
                }
                announcer.rejected(claim, lost.get());
                changed = true;
            }
        }
    }

    private void close() {
        policies.tree().closed(state, this::command);
        if (policies.rules().timing() == RoundRules.Timing.LAZY) {
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
        state.close(policies.rules().rounds(), policies.closing().end(state));
        if (state.phase == Phase.FINISHED) {
            announcer.plan();
        }
    }

    private void abandon() {
        policies.tree().abandoned(state, this::command);
        if (policies.rules().timing() == RoundRules.Timing.LAZY) {
            releaseCounted();
        }
        announcer.status(RoundStatus.State.ABANDONED);
        LOG.info(
                "round {} abandoned at its deadline: {} updates, the quorum is {}",
                state.id(),
                state.counted.size(),
                policies.rules().quorum());
        state.abandon();
    }

    private void releaseCounted() {
        state.counted.values().stream()
                .map(Counted::claim)
                .map(Claim::payload)
                .forEach(policies.release()::whenCheckpointed);
    }

    void announceAgain() {
        if (state.phase != Phase.WAITING) {
            announcer.plan();
        }
    }

    private void command(int level, AggregatorInput command) {
        side.emit(CoordinatorOutputs.level(level), command);
    }
}
