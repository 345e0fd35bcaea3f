// SPDX-License-Identifier: Apache-2.0

package io.tributary.job.graph;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.DirectoryNotEmptyException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.Comparator;
import java.util.stream.Stream;

/** A temporary directory that is gone afterwards, also when the process is interrupted. */
public final class WorkDirectory implements AutoCloseable {

    private final Path path;
    private final Thread atExit;

    private WorkDirectory(Path path) {
        this.path = path;
        this.atExit = new Thread(() -> delete(path), "delete-" + path.getFileName());
        Runtime.getRuntime().addShutdownHook(atExit);
    }

    /** Makes one, open to its owner alone. */
    public static WorkDirectory create(String purpose) {
        return create(Path.of(System.getProperty("java.io.tmpdir")), "tributary-" + purpose);
    }

    /** Makes one below {@code parent}, which is made too, both open to their owner alone. */
    public static WorkDirectory create(Path parent, String purpose) {
        try {
            if (!Files.exists(parent)) {
                Files.createDirectories(
                        parent,
                        PosixFilePermissions.asFileAttribute(
                                PosixFilePermissions.fromString("rwx------")));
            }
            return new WorkDirectory(Files.createTempDirectory(parent, purpose + "-"));
        } catch (IOException e) {
            throw new UncheckedIOException(
                    "no directory can be made in %s: %s".formatted(parent, e.getMessage()), e);
        }
    }

    /** Where it is. */
    public Path path() {
        return path;
    }

    /** A directory in it, made when missing. */
    public Path directory(String name) {
        try {
            return Files.createDirectories(path.resolve(name));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Deletes again what somebody who was stopped has written meanwhile, a few times. */
    private static void delete(Path directory) {
        for (int tries = 0; tries < 5 && Files.exists(directory); tries++) {
            try (Stream<Path> files = Files.walk(directory)) {
                for (Path file : files.sorted(Comparator.reverseOrder()).toList()) {
                    Files.deleteIfExists(file);
                }
            } catch (NoSuchFileException | DirectoryNotEmptyException expected) {
                // Another thread is writing or deleting here too; the next try sees the rest.
            } catch (UncheckedIOException e) {
                // The same, from the walk; what else it is shows in the next try too.
                if (!(e.getCause() instanceof NoSuchFileException)) {
                    throw e;
                }
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        }
    }

    @Override
    public void close() {
        delete(path);
        try {
            Runtime.getRuntime().removeShutdownHook(atExit);
        } catch (IllegalStateException expected) {
            // The JVM is ending already.
        }
    }
}
