// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.model;

import io.tributary.protocol.Json;
import io.tributary.protocol.message.RoundLedger;
import io.tributary.shm.flow.Outlet;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;

/**
 * Writes beside each model which updates are in it: {@code model-3.json} beside {@code
 * model-3.safetensors}.
 */
public final class LedgerFiles implements Outlet<RoundLedger> {

    private final ModelPublisher.Target models;

    private LedgerFiles(ModelPublisher.Target models) {
        this.models = models;
    }

    /** Ledgers beside the models of {@code target}. */
    public static Outlet.Factory<RoundLedger> beside(ModelPublisher.Target target) {
        return purpose -> new LedgerFiles(target);
    }

    /** The ledger of a model. */
    public static Path of(Path model) {
        String name = model.getFileName().toString().replaceFirst("\\.safetensors$", "");
        return model.resolveSibling(name + ".json");
    }

    @Override
    public long send(RoundLedger ledger) throws IOException {
        Path file = of(models.file(ledger.model()).toAbsolutePath());
        byte[] json = (Json.pretty(ledger) + "\n").getBytes(StandardCharsets.UTF_8);
        Path part = file.resolveSibling(file.getFileName() + ".part");
        Files.write(part, json);
        Files.move(part, file, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
        return json.length;
    }

    @Override
    public void close() {
        // Nothing is held.
    }
}
