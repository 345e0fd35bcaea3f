// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.model;

import io.tributary.protocol.Json;
import io.tributary.protocol.message.RoundLedger;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Names each model for people when its checkpoint has completed, and writes beside it which updates
 * are in it: {@code model-3.json} beside {@code model-3.safetensors}.
 */
public final class LedgerFiles {

    private static final Logger LOG = LoggerFactory.getLogger(LedgerFiles.class);

    private final ModelDirectory models;

    /**
     * @param models the models' directory
     */
    public LedgerFiles(ModelDirectory models) {
        this.models = models;
    }

    /**
     * Names the model and writes its ledger.
     *
     * @return bytes of the ledger
     * @throws IOException when the directory cannot be written
     */
    public long write(RoundLedger ledger) throws IOException {
        try {
            models.release(ledger.model());
        } catch (NoSuchFileException e) {
            // It was there when its checkpoint was made; without it the ledger still says much.
            LOG.warn(
                    "somebody has removed {}, so there is no {}",
                    e.getFile(),
                    models.model(ledger.round()));
        }
        Path file = models.ledger(ledger.round());
        byte[] json = (Json.pretty(ledger) + "\n").getBytes(StandardCharsets.UTF_8);
        Path part = file.resolveSibling(file.getFileName() + ".part");
        Files.write(part, json);
        ModelDirectory.replace(part, file);
        return json.length;
    }
}
