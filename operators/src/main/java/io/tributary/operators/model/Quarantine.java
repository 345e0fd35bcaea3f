// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.model;

import io.tributary.protocol.Json;
import io.tributary.protocol.message.PayloadRef;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import java.util.Set;
import java.util.UUID;

/**
 * Updates that turned out not to be finite while they were being folded. Whoever folds writes one
 * down and fails; the job goes back to a checkpoint that does not hold it, and the coordinator
 * refuses it when it comes again. Each is a file of its own beside the models, since all task
 * managers see those, and it is written before the failure is. Not thread-safe.
 */
public final class Quarantine {

    private static final String SUFFIX = ".json";

    private final Path directory;

    public Quarantine(ModelDirectory models) {
        this.directory = Path.of(models.directory(), "quarantine");
    }

    /** Writes an update down. */
    public void put(PayloadRef update) {
        try {
            Files.createDirectories(directory);
            UUID name = UUID.randomUUID();
            Path part = directory.resolve("." + name);
            Files.write(part, Json.encode(update));
            ModelDirectory.replace(part, directory.resolve(name + SUFFIX));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** What is in it. Read once, by the coordinator when it starts. */
    public Content read() {
        Map<PayloadRef, Path> files = new HashMap<>();
        if (Files.notExists(directory)) {
            return new Content(files);
        }
        try (DirectoryStream<Path> all = Files.newDirectoryStream(directory, "[!.]*" + SUFFIX)) {
            for (Path file : all) {
                files.put(Json.decode(Files.readAllBytes(file), PayloadRef.class), file);
            }
            return new Content(files);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** What was in it when the job started. Not thread-safe. */
    public static final class Content {

        private final Map<PayloadRef, Path> files;

        private Content(Map<PayloadRef, Path> files) {
            this.files = files;
        }

        /** Whether an update is in it. */
        public boolean contains(PayloadRef update) {
            return files.containsKey(update);
        }

        /** The updates. */
        public Set<PayloadRef> updates() {
            return Set.copyOf(files.keySet());
        }

        /** Takes an update out, whose region has been released and so cannot come again. */
        public void remove(PayloadRef update) {
            try {
                Files.deleteIfExists(files.remove(update));
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        }
    }
}
