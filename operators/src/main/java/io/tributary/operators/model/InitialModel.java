// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.model;

import io.tributary.protocol.tensor.SafetensorsHeader;
import io.tributary.protocol.tensor.TensorInfo;
import io.tributary.protocol.tensor.TensorSets;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/** The initial model with the tensor sets that the algorithm wants. Stateless and thread-safe. */
final class InitialModel {

    /** What has been found or made, by what it was asked for. */
    private static final Map<String, Path> KNOWN = ModelCache.recent();

    private InitialModel() {}

    /**
     * The initial model at a place, where nobody can go on without it.
     *
     * @throws UncheckedIOException when it cannot be had
     */
    static Path required(String place, List<String> sets) {
        Path file = ModelCache.required(place, false);
        try {
            return of(file, sets);
        } catch (IOException e) {
            throw new UncheckedIOException(place + ": its tensor sets cannot be made: " + e, e);
        }
    }

    /** The same file where it has these sets and no others, and else a copy of it that has. */
    static Path of(Path file, List<String> sets) throws IOException {
        String key = "%s %s %s".formatted(file, Files.getLastModifiedTime(file), sets);
        Path known = KNOWN.get(key);
        if (known == null || Files.notExists(known)) {
            known = find(file, sets);
            KNOWN.put(key, known);
        }
        return known;
    }

    private static Path find(Path file, List<String> sets) throws IOException {
        SafetensorsHeader given = SafetensorsHeader.read(file);
        SafetensorsHeader wanted = TensorSets.with(given, sets);
        return wanted.equals(given)
                ? file
                : ModelCache.made(
                        file, String.join("+", sets), copy -> write(file, given, copy, wanted));
    }

    private static void write(
            Path file, SafetensorsHeader given, Path copy, SafetensorsHeader wanted)
            throws IOException {
        try (FileChannel from = FileChannel.open(file, StandardOpenOption.READ);
                FileChannel to =
                        FileChannel.open(
                                copy, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE)) {
            put(to, ByteBuffer.wrap(wanted.bytes()));
            for (TensorInfo tensor : wanted.tensors()) {
                to.position(wanted.dataOffset() + tensor.begin());
                Optional<TensorInfo> there = given.find(tensor.name());
                if (there.isPresent()) {
                    copy(from, given.dataOffset() + there.get().begin(), there.get(), to);
                }
            }
            if (to.size() < wanted.fileLength()) {
                // What lies between is zero.
                to.position(wanted.fileLength() - 1);
                put(to, ByteBuffer.allocate(1));
            }
        }
    }

    private static void copy(FileChannel from, long at, TensorInfo tensor, FileChannel to)
            throws IOException {
        long length = tensor.end() - tensor.begin();
        for (long done = 0; done < length; ) {
            long copied = from.transferTo(at + done, length - done, to);
            if (copied <= 0) {
                throw new IOException("tensor '%s' ends early".formatted(tensor.name()));
            }
            done += copied;
        }
    }

    private static void put(FileChannel to, ByteBuffer bytes) throws IOException {
        while (bytes.hasRemaining()) {
            to.write(bytes);
        }
    }
}
