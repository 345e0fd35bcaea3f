// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.model;

import io.tributary.protocol.Json;
import io.tributary.protocol.message.RoundLedger;
import io.tributary.shm.flow.Outlet;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * Writes beside each model which updates are in it: {@code model-3.json} beside {@code
 * model-3.safetensors}.
 */
public final class LedgerFiles implements Outlet<RoundLedger> {

    private final ModelDirectory models;

    private LedgerFiles(ModelDirectory models) {
        this.models = models;
    }

    /** Ledgers beside the models of {@code directory}. */
    public static Outlet.Factory<RoundLedger> beside(ModelDirectory directory) {
        return purpose -> new LedgerFiles(directory);
    }

    @Override
    public long send(RoundLedger ledger) throws IOException {
        Path file = models.ledger(ledger.round());
        byte[] json = (Json.pretty(ledger) + "\n").getBytes(StandardCharsets.UTF_8);
        Path part = file.resolveSibling(file.getFileName() + ".part");
        Files.write(part, json);
        ModelDirectory.replace(part, file);
        return json.length;
    }

    @Override
    public void close() {
        // Nothing is held.
    }
}
