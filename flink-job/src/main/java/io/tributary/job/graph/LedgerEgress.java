// SPDX-License-Identifier: Apache-2.0

package io.tributary.job.graph;

import io.tributary.operators.model.ModelStore;
import io.tributary.protocol.message.RoundLedger;
import io.tributary.sources.base.sink.Egress;
import java.io.IOException;

/** Ledgers beside their models. */
record LedgerEgress(ModelStore models) implements Egress<RoundLedger> {

    /** Ledgers beside the models of a store. */
    static Egress.Factory<RoundLedger> beside(ModelStore models) {
        return purpose -> new LedgerEgress(models);
    }

    @Override
    public long send(RoundLedger ledger) throws IOException {
        return models.release(ledger);
    }

    @Override
    public void close() {
        // Nothing is held.
    }
}
