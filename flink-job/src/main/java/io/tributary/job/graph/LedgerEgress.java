// SPDX-License-Identifier: Apache-2.0

package io.tributary.job.graph;

import io.tributary.operators.model.LedgerFiles;
import io.tributary.operators.model.ModelDirectory;
import io.tributary.protocol.message.RoundLedger;
import io.tributary.sources.base.sink.Egress;
import java.io.IOException;

/** Ledgers as files beside their models. */
record LedgerEgress(LedgerFiles files) implements Egress<RoundLedger> {

    /** Ledgers beside the models of {@code directory}. */
    static Egress.Factory<RoundLedger> beside(ModelDirectory directory) {
        return purpose -> new LedgerEgress(new LedgerFiles(directory));
    }

    @Override
    public long send(RoundLedger ledger) throws IOException {
        return files.write(ledger);
    }

    @Override
    public void close() {
        // Nothing is held.
    }
}
