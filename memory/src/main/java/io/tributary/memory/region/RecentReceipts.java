// SPDX-License-Identifier: Apache-2.0

package io.tributary.memory.region;

import io.tributary.protocol.RejectedException;
import io.tributary.protocol.message.Receipt;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * The newest answers to a trainer, in its file. More than one, because the answer to an update may
 * be followed by another before the trainer has looked.
 *
 * @param receipts the oldest first
 */
public record RecentReceipts(List<Receipt> receipts) {

    private static final int KEPT = 8;

    public RecentReceipts {
        receipts = List.copyOf(receipts);
    }

    /** Adds a receipt; those of earlier runs go. Called by one process at a time. */
    public static synchronized void add(Path file, Receipt receipt) {
        List<Receipt> all = new ArrayList<>(read(file).receipts());
        all.removeIf(before -> !before.run().equals(receipt.run()));
        all.add(receipt);
        JobDirectory.replace(
                file, new RecentReceipts(all.subList(Math.max(0, all.size() - KEPT), all.size())));
    }

    /** The receipts in a file; none where it is not there. */
    public static RecentReceipts read(Path file) {
        Optional<RecentReceipts> found;
        try {
            found = JobDirectory.read(file, RecentReceipts.class);
        } catch (RejectedException e) {
            // Damaged by a hand from outside; whoever waits for an answer asks again.
            found = Optional.empty();
        }
        return found.orElseGet(() -> new RecentReceipts(List.of()));
    }
}
