// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.model;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.FileTime;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.regex.Pattern;
import org.apache.flink.core.fs.FileStatus;
import org.apache.flink.core.fs.FileSystem;

/**
 * Copies of objects in the temporary directory of this host, since models are mapped and not read.
 * All processes of a user share them. A copy's name says of which object it is, and which one that
 * was, so an object that was replaced is copied again. Thread-safe.
 */
final class ModelCache {

    /** Models of the last rounds; a copy that is missing is made again. */
    private static final int KEPT = 4;

    private static final Pattern OBJECT = Pattern.compile("[A-Za-z][A-Za-z0-9+.-]*://.*");
    private static final String PART = ".part";

    /** Copies by place and checksum; the last that were asked for. */
    private static final Map<String, Path> KNOWN =
            Collections.synchronizedMap(
                    new LinkedHashMap<>() {
                        private static final long serialVersionUID = 1L;

                        @Override
                        protected boolean removeEldestEntry(Map.Entry<String, Path> eldest) {
                            return size() > KEPT;
                        }
                    });

    private ModelCache() {}

    /** Whether a place is that of an object; others are files. */
    static boolean isObject(String place) {
        return OBJECT.matcher(place).matches();
    }

    /** Where copies of a store's objects are. */
    static Path directory(String store) {
        String name = UUID.nameUUIDFromBytes(store.getBytes(StandardCharsets.UTF_8)).toString();
        return Path.of(
                System.getProperty("java.io.tmpdir"),
                "tributary-models-" + System.getProperty("user.name"),
                name);
    }

    /** A new directory for what is put together before it becomes an object. */
    static Path scratch(String store) throws IOException {
        return Files.createTempDirectory(Files.createDirectories(directory(store)), ".ledger");
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
        FileStatus status = status(place);
        Path copy = copy(place, status);
        if (Files.notExists(copy)) {
            Path part = copy.resolveSibling("." + UUID.randomUUID() + PART);
            Files.createDirectories(copy.getParent());
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

    /** Takes a file that has become the object at a place, and returns the copy. */
    static Path take(Path file, String place) throws IOException {
        Path copy = copy(place, status(place));
        Files.createDirectories(copy.getParent());
        Files.move(file, copy, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
        prune(copy);
        return copy;
    }

    private static Path copy(String place, FileStatus status) {
        int slash = place.lastIndexOf('/');
        return directory(place.substring(0, slash))
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
    static Path required(String place) {
        try {
            return local(place);
        } catch (IOException e) {
            throw new UncheckedIOException(place + " cannot be read: " + e, e);
        }
    }

    /** The same of a model whose contents are known, without asking the store for each chunk. */
    static Path required(String place, int crc32c) {
        if (!isObject(place)) {
            return Path.of(place);
        }
        String key = place + "#" + crc32c;
        Path known = KNOWN.get(key);
        if (known == null || Files.notExists(known)) {
            known = required(place);
            KNOWN.put(key, known);
        }
        return known;
    }
}
