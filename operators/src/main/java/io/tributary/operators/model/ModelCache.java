// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.model;

import io.tributary.memory.region.TrustedDirectory;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.DirectoryStream;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.BasicFileAttributes;
import java.nio.file.attribute.FileAttribute;
import java.nio.file.attribute.FileTime;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.TimeUnit;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.apache.flink.core.fs.FileStatus;
import org.apache.flink.core.fs.FileSystem;

/**
 * Copies of objects in the temporary directory of this host, since models are mapped and not read.
 * All processes of a user share them, and nobody else may write there. A copy's name says of which
 * object it is, and which one that was, so an object that was replaced is copied again.
 * Thread-safe.
 */
final class ModelCache {

    /** Models of the last rounds; a copy that is missing is made again. */
    private static final int KEPT = 4;

    private static final Pattern OBJECT = Pattern.compile("[A-Za-z][A-Za-z0-9+.-]*://.*");
    private static final String PART = ".part";
    private static final FileAttribute<?> OWN =
            PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rwx------"));

    /** Copies of objects that are never written again, by place. */
    private static final Map<String, Path> KNOWN = recent();

    /** What is being copied, so that all who need it wait for one copy. */
    private static final Map<String, Object> COPYING = recent();

    private ModelCache() {}

    /** A map that keeps what was put into it the last; thread-safe. */
    static <T> Map<String, T> recent() {
        return Collections.synchronizedMap(
                new LinkedHashMap<>() {
                    private static final long serialVersionUID = 1L;

                    @Override
                    protected boolean removeEldestEntry(Map.Entry<String, T> eldest) {
                        return size() > KEPT;
                    }
                });
    }

    /** Whether a place is that of an object; others are files. */
    static boolean isObject(String place) {
        return OBJECT.matcher(place).matches();
    }

    /** Where copies of a store's objects are. */
    static Path directory(String store) {
        String name = UUID.nameUUIDFromBytes(store.getBytes(StandardCharsets.UTF_8)).toString();
        return Path.of(
                System.getProperty("java.io.tmpdir"),
                "tributary-models-" + TrustedDirectory.user(),
                name);
    }

    /**
     * The same, made: this user's alone, because whoever can write there makes the models.
     *
     * @throws IOException when it is somebody else's
     */
    private static Path own(String store) throws IOException {
        Path directory = directory(store);
        try {
            Files.createDirectory(directory.getParent(), OWN);
        } catch (FileAlreadyExistsException expected) {
            // It is looked at now.
        }
        TrustedDirectory.require(directory.getParent());
        TrustedDirectory.makeOwn(directory);
        return directory;
    }

    /** Removes what was being put together, or copied, when somebody was killed. */
    static void clear(String store) throws IOException {
        for (String place : List.of(store, store + "/versions")) {
            try (DirectoryStream<Path> left = Files.newDirectoryStream(own(place), ".*")) {
                for (Path path : left) {
                    remove(path);
                }
            }
        }
        Path work = own(store).resolve("work");
        if (Files.exists(work)) {
            remove(work);
        }
    }

    /** Removes a file, or a directory with all that is in it. */
    static void remove(Path path) throws IOException {
        try (Stream<Path> all = Files.walk(path)) {
            for (Path each : all.sorted(Comparator.reverseOrder()).toList()) {
                Files.deleteIfExists(each);
            }
        }
    }

    /** A new directory for what is put together before it becomes an object. */
    static Path scratch(String store) throws IOException {
        return Files.createTempDirectory(own(store), ".ledger");
    }

    /**
     * A file of this host with what is at a place.
     *
     * @throws NoSuchFileException when nothing is there
     */
    static Path local(String place) throws IOException {
        if (!isObject(place)) {
            return Path.of(place);
        }
        synchronized (COPYING.computeIfAbsent(place, any -> new Object())) {
            FileStatus status = status(place);
            Path copy = copy(place, status);
            if (Files.notExists(copy)) {
                Path part = copy.resolveSibling("." + UUID.randomUUID() + PART);
                try (InputStream in = fileSystem(place).open(status.getPath())) {
                    Files.copy(in, part);
                    Files.move(part, copy, StandardCopyOption.ATOMIC_MOVE);
                } finally {
                    Files.deleteIfExists(part);
                }
                prune(copy);
            }
            return copy;
        }
    }

    /** Writes a file. */
    @FunctionalInterface
    interface Maker {
        void write(Path file) throws IOException;
    }

    /**
     * A file that is made of another one.
     *
     * @param what tells it from others that are made of that one
     */
    static Path made(Path file, String what, Maker maker) throws IOException {
        Path whole = file.toAbsolutePath();
        BasicFileAttributes its = Files.readAttributes(whole, BasicFileAttributes.class);
        Path copy =
                own(whole.getParent().toString())
                        .resolve(
                                "%s+%s@%d.%d"
                                        .formatted(
                                                whole.getFileName(),
                                                what,
                                                its.lastModifiedTime().to(TimeUnit.NANOSECONDS),
                                                its.size()));
        synchronized (COPYING.computeIfAbsent(copy.toString(), any -> new Object())) {
            if (Files.notExists(copy)) {
                Path part = copy.resolveSibling("." + UUID.randomUUID() + PART);
                try {
                    maker.write(part);
                    Files.move(part, copy, StandardCopyOption.ATOMIC_MOVE);
                } finally {
                    Files.deleteIfExists(part);
                }
                prune(copy);
            }
            return copy;
        }
    }

    /** The same of an object that is never written again; the store is asked once. */
    static Path unique(String place) throws IOException {
        Path known = KNOWN.get(place);
        if (known == null || Files.notExists(known)) {
            known = local(place);
            KNOWN.put(place, known);
        }
        return known;
    }

    /** Takes a file that has become the object at a place, and returns the copy. */
    static Path take(Path file, String place) throws IOException {
        Path copy = copy(place, status(place));
        Files.move(file, copy, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
        prune(copy);
        return copy;
    }

    private static Path copy(String place, FileStatus status) throws IOException {
        int slash = place.lastIndexOf('/');
        return own(place.substring(0, slash))
                .resolve(
                        "%s@%d.%d"
                                .formatted(
                                        place.substring(slash + 1),
                                        status.getModificationTime(),
                                        status.getLen()));
    }

    /** Who has mapped a copy keeps it. */
    private static void prune(Path newest) throws IOException {
        List<Path> copies = new ArrayList<>();
        try (DirectoryStream<Path> all = Files.newDirectoryStream(newest.getParent(), "[!.]*@*")) {
            all.forEach(copies::add);
        }
        copies.sort(Comparator.comparing(ModelCache::time).reversed());
        for (Path old : copies.subList(Math.min(KEPT, copies.size()), copies.size())) {
            Files.deleteIfExists(old);
        }
    }

    private static FileTime time(Path copy) {
        try {
            return Files.getLastModifiedTime(copy);
        } catch (IOException removedByAnother) {
            return FileTime.fromMillis(0);
        }
    }

    private static FileStatus status(String place) throws IOException {
        try {
            return fileSystem(place).getFileStatus(path(place));
        } catch (java.io.FileNotFoundException e) {
            throw new NoSuchFileException(place);
        }
    }

    static org.apache.flink.core.fs.Path path(String place) {
        return new org.apache.flink.core.fs.Path(place);
    }

    /** The one that Flink has for a place. */
    static FileSystem fileSystem(String place) throws IOException {
        return FileSystem.get(URI.create(place));
    }

    /** The same as {@link #local}, where nobody can go on without it. */
    static Path required(String place, boolean unique) {
        try {
            return unique ? unique(place) : local(place);
        } catch (IOException e) {
            throw new UncheckedIOException(place + " cannot be read: " + e, e);
        }
    }
}
