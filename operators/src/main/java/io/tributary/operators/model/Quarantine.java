// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.model;

import io.tributary.protocol.Json;
import io.tributary.protocol.RejectedException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.TreeMap;
import java.util.UUID;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Trainers whose update turned out while it was being folded not to be what it was taken for.
 * Whoever folds writes one down and fails; the job goes back to a checkpoint that does not hold the
 * update, and the coordinator, when it starts again, does not take that trainer's word. A trainer
 * has one file, beside the models, since all task managers see those. It is on the disk before the
 * failure, and stays until somebody removes it. Not thread-safe.
 */
public final class Quarantine {

    private static final Logger LOG = LoggerFactory.getLogger(Quarantine.class);
    private static final String SUFFIX = ".json";

    private final Path directory;

    /** What a trainer has done. */
    public enum Breach {
        /** It promised finite values, and had others. */
        PROMISE,
        /** It changed an update after the job had read it. */
        CHANGE
    }

    /**
     * What a file says.
     *
     * @param trainer who
     * @param breach the worst that it has done
     */
    public record Entry(String trainer, Breach breach) {}

    public Quarantine(ModelDirectory models) {
        this.directory = Path.of(models.directory(), "quarantine");
    }

    /** Writes a trainer down. */
    public void put(String trainer, Breach breach) {
        Path file = directory.resolve(trainer + SUFFIX);
        if (breach == Breach.PROMISE && Files.exists(file)) {
            return;
        }
        try {
            Files.createDirectories(directory);
            Path part = directory.resolve("." + UUID.randomUUID());
            Files.write(part, Json.encode(new Entry(trainer, breach)));
            ModelDirectory.replace(part, file);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Who is in it, and why. */
    public Map<String, Breach> read() {
        Map<String, Breach> breaches = new TreeMap<>();
        if (Files.notExists(directory)) {
            return breaches;
        }
        try (DirectoryStream<Path> all = Files.newDirectoryStream(directory, "[!.]*" + SUFFIX)) {
            for (Path file : all) {
                try {
                    Entry entry = Json.decode(Files.readAllBytes(file), Entry.class);
                    breaches.put(entry.trainer(), entry.breach());
                } catch (RejectedException e) {
                    LOG.warn("{} is passed over: {}", file, e.getMessage());
                }
            }
            return breaches;
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
