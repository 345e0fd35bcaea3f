// SPDX-License-Identifier: Apache-2.0

package io.tributary.memory.region;

import io.tributary.memory.os.DirectoryBelow;
import io.tributary.memory.os.HeldFile;
import io.tributary.memory.os.OfdLock;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.DirectoryIteratorException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import java.util.UUID;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * How processes show that they live: each has a file in the directory {@code .alive}, named by the
 * number that it has drawn, and a lock on it. The kernel ends the lock with the process, so what is
 * there without a lock, or not there, is dead for ever. Processes that share the directory see each
 * other across namespaces of process ids. Thread-safe.
 */
final class Presence {

    private static final Logger LOG = LoggerFactory.getLogger(Presence.class);

    static final String DIRECTORY = ".alive";
    static final UUID SELF = UUID.randomUUID();

    private static final Duration UNNAMED_AGE = Duration.ofMinutes(10);

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
            RegionDirectory.create(file.getParent());
            try (DirectoryBelow alive =
                    DirectoryBelow.open(directory, Path.of(DIRECTORY))
                            .orElseThrow(() -> new NoSuchFileException(file.toString()))) {
                sweep(alive);
                SHOWN.put(
                        file, HeldFile.create(alive, SELF.toString(), TrustedDirectory.mode(file)));
            } catch (IOException e) {
                throw new UncheckedIOException(
                        "%s cannot show that this process lives".formatted(file), e);
            }
        }
    }

    /**
     * Whether a process lives. Where that cannot be told it is taken for alive, since things are
     * taken from the dead alone.
     *
     * @param made what it has made; it has shown itself in one of the directories above, as far as
     *     those are its user's or the group's
     */
    static boolean seen(UUID process, Path made) {
        Path directory = made.toAbsolutePath().getParent();
        while (directory != null) {
            TrustedDirectory.Place place = TrustedDirectory.place(directory);
            if (place != TrustedDirectory.Place.WITHIN) {
                return place == TrustedDirectory.Place.UNKNOWN;
            }
            if (held(directory.resolve(DIRECTORY).resolve(process.toString()))) {
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
            LOG.debug("{} cannot be asked for its lock: {}", file, e.getMessage());
            return true;
        }
    }

    /**
     * Removes what the dead have left.
     *
     * @param root trusted
     * @param found from there, a directory with presences
     */
    static void sweep(Path root, Path found) {
        try {
            Optional<DirectoryBelow> alive = DirectoryBelow.open(root, found);
            if (alive.isPresent()) {
                try (DirectoryBelow directory = alive.get()) {
                    sweep(directory);
                }
            }
        } catch (IOException | DirectoryIteratorException e) {
            LOG.debug("{} in {} cannot be swept: {}", found, root, e.getMessage());
        }
    }

    private static void sweep(DirectoryBelow alive) throws IOException {
        try (DirectoryStream<Path> files = Files.newDirectoryStream(alive.path())) {
            for (Path file : files) {
                String name = file.getFileName().toString();
                // A file gets its name when it is locked already, and never again.
                boolean named = isProcess(name);
                boolean unnamed = name.startsWith(".") && isProcess(name.substring(1));
                if (Files.isRegularFile(file, LinkOption.NOFOLLOW_LINKS)
                        && (named || unnamed && RegionDirectory.olderThan(file, UNNAMED_AGE))
                        && !held(file)) {
                    Files.deleteIfExists(file);
                }
            }
        }
    }

    private static boolean isProcess(String name) {
        try {
            return UUID.fromString(name).toString().equals(name);
        } catch (IllegalArgumentException e) {
            return false;
        }
    }
}
