// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.model;

import io.tributary.protocol.message.RoundId;
import java.io.IOException;
import java.io.Serializable;
import java.nio.channels.FileChannel;
import java.nio.file.DirectoryStream;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.UUID;

/**
 * Where a job writes its models. Each version has a file that is never written again, so whoever
 * goes back to an older checkpoint finds the model that it names; people find the newest model of a
 * round under the round's number.
 *
 * <pre>
 * DIRECTORY/versions/ROUND.EPOCH.safetensors   each version
 * DIRECTORY/versions/ROUND.EPOCH.rejected      why it is the former model once more, if it is
 * DIRECTORY/model-ROUND.safetensors            the newest version of a round, the same file once more
 * DIRECTORY/model-ROUND.json                   its ledger
 * </pre>
 *
 * @param directory on a file system that all task managers see
 */
public record ModelDirectory(String directory) implements Serializable {

    private static final String PART = ".part";

    /** A model directory at {@code path}. */
    public static ModelDirectory at(Path path) {
        return new ModelDirectory(path.toAbsolutePath().toString());
    }

    /** The file of a version. */
    public Path version(RoundId version) {
        return Path.of(directory, "versions", version + ".safetensors");
    }

    /**
     * The file of a version that trainers start from: of round 0, the one that the job began with.
     *
     * @throws IllegalStateException when it is not there
     */
    public Path base(RoundId version, ModelSpec initial) {
        Path file = version.round() == 0 ? Path.of(initial.path()) : version(version);
        if (Files.notExists(file)) {
            throw new IllegalStateException(
                    "the model that the open round's trainers started from, %s, is not at %s; the model directory belongs to the job's checkpoints: put the file back, and the job goes on"
                            .formatted(version, file));
        }
        return file;
    }

    /** Why a version is the former model once more; a file that is there only in that case. */
    private Path rejection(RoundId version) {
        return versions().resolve(version + ".rejected");
    }

    /**
     * Whether a version is the former model once more, because what its round brought was rejected.
     * It is known as soon as the version's file is there.
     */
    public boolean rejected(RoundId version) {
        return Files.exists(rejection(version));
    }

    /** Notes that a version will be the former model once more; before its file is there. */
    void reject(RoundId version, String why) throws IOException {
        Files.writeString(rejection(version), why + "\n");
    }

    /** The newest model of a round. */
    public Path model(int round) {
        return Path.of(directory, "model-" + round + ".safetensors");
    }

    /** The ledger of the newest model of a round. */
    public Path ledger(int round) {
        return Path.of(directory, "model-" + round + ".json");
    }

    /** Where a version is written before it is whole: one place for each who tries. */
    Path part(RoundId version) {
        return versions().resolve(".%s.%s%s".formatted(version, UUID.randomUUID(), PART));
    }

    private Path versions() {
        return Path.of(directory, "versions");
    }

    /** Makes the directories, and removes what was being written when somebody was killed. */
    void create() throws IOException {
        Files.createDirectories(versions());
        try (DirectoryStream<Path> parts = Files.newDirectoryStream(versions(), ".*" + PART)) {
            for (Path part : parts) {
                Files.deleteIfExists(part);
            }
        }
    }

    /** Waits until a version is on the disk. */
    void force(RoundId version) throws IOException {
        if (rejected(version)) {
            force(rejection(version));
        }
        Path file = version(version);
        force(file);
        force(file.getParent());
    }

    /**
     * Makes a version the newest of its round for people.
     *
     * @throws IOException also when somebody has removed the version
     */
    void release(RoundId version) throws IOException {
        Path file = version(version);
        // What a release left that did not come to its end is written over.
        Path next = Path.of(directory, ".model-" + version);
        Files.deleteIfExists(next);
        try {
            Files.createLink(next, file);
        } catch (UnsupportedOperationException | FileSystemException e) {
            // Some file systems have no links.
            Files.copy(file, next, StandardCopyOption.REPLACE_EXISTING);
        }
        replace(next, model(version.round()));
    }

    /**
     * Gives a file its name, so that both are there after a power cut, or neither.
     *
     * @throws IOException also when there is something of that name that is no regular file, which
     *     is left as it is
     */
    public static void replace(Path next, Path file) throws IOException {
        force(next);
        rename(next, file);
        force(file.getParent());
    }

    /** The same, though not at once on the disk. */
    static void rename(Path next, Path file) throws IOException {
        requireRegular(file);
        Files.move(next, file, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
    }

    /**
     * Refuses to replace a device, a directory, a pipe or a link.
     *
     * @throws FileAlreadyExistsException when there is one
     */
    public static void requireRegular(Path file) throws FileAlreadyExistsException {
        if (Files.exists(file, LinkOption.NOFOLLOW_LINKS)
                && !Files.isRegularFile(file, LinkOption.NOFOLLOW_LINKS)) {
            throw new FileAlreadyExistsException(
                    file.toString(),
                    null,
                    "it is no regular file, and is not replaced; move it, or write elsewhere");
        }
    }

    /** Waits until a file's bytes, or a directory's names, are on the disk. */
    static void force(Path path) throws IOException {
        try (FileChannel channel = FileChannel.open(path, StandardOpenOption.READ)) {
            channel.force(true);
        }
    }
}
