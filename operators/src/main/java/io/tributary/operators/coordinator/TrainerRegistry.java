// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.coordinator;

import io.tributary.operators.coordinator.CoordinatorState.Member;
import io.tributary.protocol.RejectReason;
import io.tributary.protocol.message.ControlMessage;
import io.tributary.protocol.message.TrainerEvent;
import io.tributary.protocol.topology.Topology;
import java.util.Optional;

/** Decides who takes part. */
@Policy
final class TrainerRegistry {

    private final Topology topology;
    private final LeafAssigner assigner;

    private final int maxTrainers;

    TrainerRegistry(Topology topology, LeafAssigner assigner, int maxTrainers) {
        this.maxTrainers = maxTrainers;
        this.topology = topology;
        this.assigner = assigner;
    }

    /**
     * Takes a trainer's word about itself.
     *
     * @return whether it changed who takes part
     */
    boolean take(TrainerEvent.Control control, CoordinatorState state, RoundEvents events) {
        ControlMessage message = control.message();
        Optional<Member> known = Optional.ofNullable(state.members.get(message.trainer()));
        boolean same =
                known.isPresent()
                        && known.get().instance().equals(message.instance())
                        && state.speaksOver(message.trainer(), events.transport());
        return switch (message.type()) {
            case LEAVE -> {
                // A will that comes late must not remove the client that came after.
                if (same) {
                    state.remove(message.trainer());
                }
                yield same;
            }
            case JOIN, HEARTBEAT -> join(control, known, same, state, events);
        };
    }

    private boolean join(
            TrainerEvent.Control control,
            Optional<Member> known,
            boolean same,
            CoordinatorState state,
            RoundEvents events) {
        ControlMessage message = control.message();
        String trainer = message.trainer();
        if (known.isPresent() && !same && !replaces(control, known.get(), events.transport())) {
            if (message.type() == ControlMessage.Type.HEARTBEAT) {
                // It was told when it asked to join, and is not to be told every few seconds.
                return false;
            }
            events.joinRejected(
                    message,
                    RejectReason.DUPLICATE_TRAINER,
                    "trainer %s takes part already; choose another id, or wait until the one before is found dead"
                            .formatted(trainer));
            return false;
        }
        if (known.isEmpty() && state.members.size() >= maxTrainers) {
            events.joinRejected(
                    message,
                    RejectReason.TOO_MANY_TRAINERS,
                    "trainer %s: the job has %d trainers and takes no more; raise rounds.max-trainers"
                            .formatted(trainer, maxTrainers));
            return false;
        }
        Optional<String> leaf =
                known.filter(k -> same)
                        .map(Member::leaf)
                        .or(() -> assigner.leaf(message.group(), state));
        if (leaf.isEmpty()) {
            events.joinRejected(
                    message,
                    RejectReason.UNKNOWN_GROUP,
                    "trainer %s: group '%s' is not in the topology, which has %s"
                            .formatted(trainer, message.group(), topology.trainerGroups()));
            return false;
        }
        state.join(
                trainer,
                new Member(
                        message.instance(),
                        known.filter(k -> same).map(Member::group).orElse(message.group()),
                        leaf.get(),
                        events.transport(),
                        state.listenedNanos));
        boolean news = !same || message.type() == ControlMessage.Type.JOIN;
        if (news) {
            events.joined(message);
        }
        return news;
    }

    /**
     * Whether the client before is gone for certain. A source knows that of its own transport
     * alone, so a client of another one has to leave or fall silent first.
     */
    private static boolean replaces(TrainerEvent.Control control, Member before, String transport) {
        return control.sole()
                && (before.transport().isEmpty() || before.transport().equals(transport));
    }
}
