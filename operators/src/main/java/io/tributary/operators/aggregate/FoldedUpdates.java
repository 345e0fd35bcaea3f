// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.aggregate;

import io.tributary.node.PayloadStore;
import io.tributary.operators.aggregate.AggregatorInput.FoldUpdate;
import io.tributary.operators.clock.Clock;
import io.tributary.operators.model.Quarantine;
import io.tributary.operators.model.Quarantine.Breach;
import io.tributary.protocol.RejectReason;
import io.tributary.protocol.RejectedException;
import io.tributary.protocol.tensor.ModelLayout;

/**
 * The updates that one subtask folds. What is wrong with one that the source has taken is written
 * down under its trainer's name. Not thread-safe.
 */
final class FoldedUpdates implements AutoCloseable {

    private final MappedUpdateCache updates;
    private final Quarantine quarantine;

    FoldedUpdates(ModelLayout layout, PayloadStore regions, Quarantine quarantine, Clock clock) {
        this.updates = new MappedUpdateCache(layout, regions, clock);
        this.quarantine = quarantine;
    }

    /** An update whose header is not what the source has read has been changed since. */
    MappedUpdateCache.Update open(FoldUpdate update, int shard) {
        try {
            return updates.get(update.payload(), shard);
        } catch (RejectedException e) {
            if (e.reason() == RejectReason.MALFORMED || e.reason() == RejectReason.WRONG_SHAPE) {
                quarantine.put(update.trainer(), Breach.CHANGE);
            }
            throw e;
        }
    }

    /** An update has a value that is not finite. */
    RejectedException notFinite(FoldUpdate update) {
        quarantine.put(update.trainer(), update.scanned() ? Breach.CHANGE : Breach.PROMISE);
        return new RejectedException(
                RejectReason.NOT_FINITE,
                "an update was not finite when it was folded; its round goes on from the last checkpoint");
    }

    /** An update ended while it was read. */
    static RejectedException truncated() {
        // Zeros were read. The checkpoint before knows better.
        return new RejectedException(
                RejectReason.PAYLOAD_LOST,
                "an update was truncated while it was folded; its round goes on from the last checkpoint");
    }

    /** Lets go of updates that nobody folds any more. */
    void evictIdle() {
        updates.evictIdle();
    }

    @Override
    public void close() {
        updates.close();
    }
}
