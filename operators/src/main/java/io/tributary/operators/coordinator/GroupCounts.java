// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.coordinator;

import io.tributary.protocol.message.TrainerShare;

/** How many trainers of a group there are; {@link Trainers} counts them. Mutable. */
final class GroupCounts {

    int members;
    int awaited;
    int counted;
    int asked;

    /** Those that take part, in each bucket of {@link TrainerShare}. */
    final int[] buckets = new int[TrainerShare.BUCKETS];

    /** Those that take part. */
    int members() {
        return members;
    }

    /** Those that the open round waits for. */
    int awaited() {
        return awaited;
    }

    /** Those that the round was opened for. */
    int asked() {
        return asked;
    }

    /** Those whose updates count in the round. */
    int counted() {
        return counted;
    }
}
