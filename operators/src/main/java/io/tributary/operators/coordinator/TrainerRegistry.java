// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.coordinator;

import io.tributary.protocol.RejectReason;
import io.tributary.protocol.message.ControlMessage;
import io.tributary.protocol.message.TrainerEvent;
import io.tributary.protocol.topology.Topology;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;

/**
 * Decides who takes part. As many may have left and still be remembered as may take part, so what
 * strangers can make the job remember has a bound.
 */
@Policy
final class TrainerRegistry {

    /** Trainers that are found silent, or forgotten, in one turn. */
    private static final int TURN = 1000;

    private final Set<String> groups;
    private final int maxTrainers;
    private final Duration silence;

    /**
     * @param maxTrainers that take part at one time, at most
     * @param silence after which a trainer counts as gone; zero means never
     */
    TrainerRegistry(Topology topology, int maxTrainers, Duration silence) {
        this.groups = new TreeSet<>(topology.trainerGroups());
        this.maxTrainers = maxTrainers;
        this.silence = silence;
    }

    /**
     * Takes in trainers that take part without having to join.
     *
     * @param cohort their groups by their ids
     */
    void admit(Map<String, String> cohort, CoordinatorState state) {
        new TreeMap<>(cohort)
                .forEach(
                        (trainer, group) ->
                                state.trainers.join(trainer, "", group, "", state.listenedNanos));
    }

    /**
     * Takes a trainer's word about itself.
     *
     * @return whether it changed who takes part
     */
    boolean take(TrainerEvent.Control control, CoordinatorState state, RoundEvents events) {
        ControlMessage message = control.message();
        Optional<TrainerEntry> known = state.trainers.member(message.trainer());
        boolean same =
                known.isPresent()
                        && known.get().instance().equals(message.instance())
                        && state.trainers.speaksOver(message.trainer(), events.transport());
        return switch (message.type()) {
            case LEAVE -> {
                // A will that comes late must not remove the client that came after.
                if (same) {
                    state.trainers.leave(message.trainer());
                }
                yield same;
            }
            case JOIN, HEARTBEAT -> {
                if (same && known.get().transport().isEmpty()) {
                    // Its state is from a version that had one transport.
                    state.trainers.join(
                            message.trainer(),
                            message.instance(),
                            known.get().group(),
                            events.transport(),
                            state.listenedNanos);
                }
                if (same) {
                    // Nothing is new but the time, and who asks is answered.
                    state.trainers.hear(message.trainer(), state.listenedNanos);
                    yield again(message, events);
                }
                yield join(control, known, state, events);
            }
            case EVALUATION -> throw new IllegalArgumentException("not about a trainer");
        };
    }

    private static boolean again(ControlMessage message, RoundEvents events) {
        boolean asks = message.type() == ControlMessage.Type.JOIN;
        if (asks) {
            events.joined(message);
        }
        return asks;
    }

    private boolean join(
            TrainerEvent.Control control,
            Optional<TrainerEntry> known,
            CoordinatorState state,
            RoundEvents events) {
        ControlMessage message = control.message();
        String trainer = message.trainer();
        if (known.isPresent() && !replaces(control, known.get(), events.transport())) {
            if (message.type() == ControlMessage.Type.JOIN) {
                // A heartbeat is not: it was told when it asked to join.
                events.joinRejected(
                        message,
                        RejectReason.DUPLICATE_TRAINER,
                        "trainer %s takes part already; choose another id, or wait until the job has noticed that the former one has ended"
                                .formatted(trainer));
            }
            return false;
        }
        if (known.isEmpty() && full(trainer, state)) {
            events.joinRejected(
                    message,
                    RejectReason.TOO_MANY_TRAINERS,
                    state.trainers.members() >= maxTrainers
                            ? "trainer %s: the job has %d trainers and takes no more; raise rounds.max-trainers"
                                    .formatted(trainer, maxTrainers)
                            : "trainer %s: in this round %d trainers have come, and some have gone; join again when it has ended, or raise rounds.max-trainers"
                                    .formatted(trainer, state.trainers.remembered()));
            return false;
        }
        if (!groups.contains(message.group())) {
            events.joinRejected(
                    message,
                    RejectReason.UNKNOWN_GROUP,
                    "trainer %s: group '%s' is not in the topology, which has %s"
                            .formatted(trainer, message.group(), groups));
            return false;
        }
        state.trainers.join(
                trainer,
                message.instance(),
                message.group(),
                events.transport(),
                state.listenedNanos);
        events.joined(message);
        return true;
    }

    private boolean full(String trainer, CoordinatorState state) {
        return state.trainers.members() >= maxTrainers
                || state.trainers.get(trainer).isEmpty()
                        && state.trainers.remembered() >= 2L * maxTrainers;
    }

    /**
     * Whether the client before is gone for certain. A source knows that of its own transport
     * alone, so a client of another one has to leave or fall silent first.
     */
    private static boolean replaces(
            TrainerEvent.Control control, TrainerEntry before, String transport) {
        return control.sole()
                && (before.transport().isEmpty() || before.transport().equals(transport));
    }

    /**
     * Removes trainers that have not been heard of for too long, and forgets what no round needs.
     *
     * @return those that are removed, and whether there may be more
     */
    Expired expire(CoordinatorState state) {
        int forgotten = state.trainers.forgetAbsent(state.oldest(), maxTrainers, TURN);
        List<String> silent =
                silence.isZero()
                        ? new ArrayList<>()
                        : state.trainers.silent(
                                silence.toNanos(), TURN, state.listenedNanos, state.listensSince);
        silent.forEach(state.trainers::leave);
        return new Expired(silent, silent.size() == TURN || forgotten == TURN);
    }

    /**
     * Who has been removed.
     *
     * @param trainers who
     * @param more whether there may be more
     */
    record Expired(List<String> trainers, boolean more) {}
}
