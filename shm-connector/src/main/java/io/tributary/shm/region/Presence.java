// SPDX-License-Identifier: Apache-2.0

package io.tributary.shm.region;

import io.tributary.shm.os.HeldFile;
import io.tributary.shm.os.OfdLock;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.stream.Stream;

/**
 * How processes show that they live: each has a file in the directory {@code .alive}, named by the
 * number that it has drawn, and a lock on it. The kernel ends the lock with the process, so what is
 * there without a lock, or not there, is dead for ever. Processes that share the directory see each
 * other across namespaces of process ids. Thread-safe.
 */
final class Presence {

    static final String DIRECTORY = ".alive";
    static final UUID SELF = UUID.randomUUID();

    /** The names of regions are not deeper. */
    private static final int LEVELS = 8;

    private static final Map<Path, HeldFile> SHOWN = new HashMap<>();

    private Presence() {}

    /** Shows that this process lives, to those who look into the directory or below it. */
    static void show(Path directory) {
        Path file = directory.resolve(DIRECTORY).resolve(SELF.toString());
        synchronized (SHOWN) {
            HeldFile shown = SHOWN.get(file);
            if (shown != null && shown.there()) {
                return;
            }
            SHOWN.values().removeIf(held -> !held.there());
            try {
                RegionDirectory.create(file.getParent());
                sweep(directory);
                SHOWN.put(file, HeldFile.create(file, TrustedDirectory.mode(file)));
            } catch (IOException e) {
                throw new UncheckedIOException(
                        "%s cannot show that this process lives".formatted(file), e);
            }
        }
    }

    /**
     * Whether a process lives.
     *
     * @param made what it has made; it has shown itself in one of the directories above
     */
    static boolean seen(UUID process, Path made) {
        Path directory = made.getParent();
        for (int level = 0; level < LEVELS && directory != null; level++) {
            Path file = directory.resolve(DIRECTORY).resolve(process.toString());
            if (held(file)) {
                return true;
            }
            directory = directory.getParent();
        }
        return false;
    }

    private static boolean held(Path file) {
        try {
            return OfdLock.held(file);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Removes what the dead have left. */
    static void sweep(Path directory) {
        for (Path file : list(directory.resolve(DIRECTORY))) {
            // A file gets its name when it is locked already, and never again.
            if (!file.getFileName().toString().startsWith(".") && !held(file)) {
                RegionDirectory.delete(file);
            }
        }
    }

    private static List<Path> list(Path directory) {
        try (Stream<Path> files = Files.list(directory)) {
            return files.toList();
        } catch (NoSuchFileException e) {
            return List.of();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
