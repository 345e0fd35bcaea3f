// SPDX-License-Identifier: Apache-2.0

package io.tributary.job.graph;

import io.tributary.operators.model.ModelStore;
import io.tributary.protocol.message.Evaluation;
import io.tributary.protocol.message.RoundLedger;
import io.tributary.sources.base.sink.Egress;
import java.io.IOException;
import java.io.Serializable;

/** Ledgers beside their models, and what the evaluator found out, in them. */
record LedgerEgress<T>(ModelStore models, Write<T> write) implements Egress<T> {

    /** Writes something into a store. */
    @FunctionalInterface
    interface Write<T> extends Serializable {

        /** Writes it, and says how many bytes that has. */
        long write(ModelStore models, T what) throws IOException;
    }

    /** Ledgers beside the models of a store. */
    static Egress.Factory<RoundLedger> releases(ModelStore models) {
        return purpose -> new LedgerEgress<>(models, ModelStore::release);
    }

    /** What the evaluator found out about them. */
    static Egress.Factory<Evaluation> evaluations(ModelStore models) {
        return purpose -> new LedgerEgress<>(models, ModelStore::evaluate);
    }

    @Override
    public long send(T what) throws IOException {
        return write.write(models, what);
    }

    @Override
    public void close() {
        // Nothing is held.
    }
}
