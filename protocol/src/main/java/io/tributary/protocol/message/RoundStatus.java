// SPDX-License-Identifier: Apache-2.0

package io.tributary.protocol.message;

import io.tributary.protocol.WireMessage;
import java.util.Map;

/**
 * How a round stands; sent at every change.
 *
 * @param job the job
 * @param round the round
 * @param epoch its epoch
 * @param state its state
 * @param updates updates counted
 * @param expected updates that the round waits for
 * @param groups the same two numbers for each trainer group
 * @param rejected updates rejected since the round was opened
 * @param duplicates duplicates seen since the round was opened
 */
public record RoundStatus(
        String job,
        int round,
        long epoch,
        State state,
        int updates,
        int expected,
        Map<String, GroupStatus> groups,
        int rejected,
        int duplicates)
        implements WireMessage {

    /** The states of a round. */
    public enum State {
        /** Not enough trainers have joined to open it. */
        WAITING,
        OPEN,
        CLOSED,
        /** The deadline came without a quorum; the round will be opened again. */
        ABANDONED,
        /** All rounds are done; {@code expected} counts the trainers that have not left. */
        FINISHED
    }

    /**
     * One group's part.
     *
     * @param updates updates counted
     * @param expected updates that the round waits for
     */
    public record GroupStatus(int updates, int expected) {}

    public RoundStatus {
        groups = Map.copyOf(groups);
    }
}
