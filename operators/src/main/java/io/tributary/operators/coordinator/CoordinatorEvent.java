// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.coordinator;

import io.tributary.protocol.RejectReason;
import io.tributary.protocol.message.TrainerEvent;
import java.util.Map;

/** What can happen to a coordinator. */
sealed interface CoordinatorEvent {

    /**
     * The job starts.
     *
     * @param nonce a number that no other start has
     */
    record Started(int nonce) implements CoordinatorEvent {}

    /**
     * The job goes on from a checkpoint.
     *
     * @param nonce a number that no other start has
     * @param lost whose updates, that are to be folded at the close, cannot be read any more
     */
    record Restored(int nonce, Map<String, RejectReason> lost) implements CoordinatorEvent {}

    /**
     * A source has handed something on.
     *
     * @param transport the scheme of the transport by which it came
     * @param event what
     */
    record Inbound(String transport, TrainerEvent event) implements CoordinatorEvent {}

    /** Time goes by. */
    record Tick() implements CoordinatorEvent {}

    /** There is time for what was put off, so that nothing else had to wait. */
    record Turn() implements CoordinatorEvent {}
}
