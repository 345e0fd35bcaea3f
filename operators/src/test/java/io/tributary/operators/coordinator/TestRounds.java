// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.coordinator;

import io.tributary.operators.coordinator.TrainerEntry.Counted;
import io.tributary.protocol.message.Claim;
import io.tributary.protocol.topology.Topology;
import java.util.Map;

/** Brings a coordinator's state where a test wants it, without a state machine around it. */
final class TestRounds {

    private TestRounds() {}

    static void join(CoordinatorState state, String trainer, String group, String transport) {
        state.trainers.join(trainer, "i", group, transport, 0);
    }

    static void open(CoordinatorState state, Topology topology, long deadline) {
        state.open(deadline, topology, Map.of(), 0, "eager");
    }

    /** The update counts, at the leaf whose turn it is. */
    static Counted count(CoordinatorState state, Topology topology, Claim claim, boolean keep) {
        TrainerEntry trainer = state.trainers.member(claim.trainer()).orElseThrow();
        Counted update =
                Counted.of(
                        claim,
                        state.opening,
                        state.trainers.places(),
                        new LeafAssigner(topology).leaf(trainer.group(), state),
                        "",
                        keep);
        state.trainers.count(claim.trainer(), update, state::closed);
        return update;
    }
}
