// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.model;

import io.tributary.protocol.Json;
import io.tributary.protocol.message.Evaluation;
import io.tributary.protocol.message.RoundId;
import io.tributary.protocol.message.RoundLedger;
import io.tributary.protocol.tensor.ModelLayout;
import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.DirectoryStream;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.UUID;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Models in a directory of a POSIX file system. People find the newest model of a round under the
 * round's number.
 *
 * <pre>
 * DIRECTORY/versions/ROUND.EPOCH.safetensors   each version
 * DIRECTORY/versions/ROUND.EPOCH.rejected      why it is the former model once more, if it is
 * DIRECTORY/versions/ROUND.EPOCH.ledger/N      a part of the ledger, until it is whole
 * DIRECTORY/model-ROUND.safetensors            the newest version of a round, the same file once more
 * DIRECTORY/model-ROUND.json                   its ledger
 * DIRECTORY/GROUP/NAME.json                    a note
 * </pre>
 *
 * @param directory on a file system that all task managers see
 */
public record PosixModelStore(String directory) implements ModelStore {

    static final String PART = ".part";

    private static final String VERSIONS = "versions";
    private static final String EVALUATION = ".evaluation";

    /** A model directory at {@code path}. */
    public static PosixModelStore at(Path path) {
        return new PosixModelStore(path.toAbsolutePath().toString());
    }

    private static final Logger LOG = LoggerFactory.getLogger(PosixModelStore.class);
    private static final String NOTE = ".json";

    /** The file of a version. */
    public Path version(RoundId version) {
        return Path.of(directory, VERSIONS, version + ".safetensors");
    }

    @Override
    public String place(RoundId version) {
        return version(version).toString();
    }

    @Override
    public Path base(RoundId version, ModelSpec initial) {
        Path file = version.round() == 0 ? initial.file() : version(version);
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

    @Override
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
        return Path.of(directory, VERSIONS);
    }

    @Override
    public ModelWriter write(RoundId version, ModelLayout layout) throws IOException {
        return new PosixModelWriter(this, layout, version);
    }

    @Override
    public void create() throws IOException {
        Files.createDirectories(versions());
    }

    @Override
    public void prepare() throws IOException {
        create();
        try (DirectoryStream<Path> parts = Files.newDirectoryStream(versions(), ".*" + PART)) {
            for (Path part : parts) {
                Files.deleteIfExists(part);
            }
        }
    }

    @Override
    public void force(RoundId version) throws IOException {
        if (rejected(version)) {
            force(rejection(version));
        }
        Path file = version(version);
        force(file);
        force(file.getParent());
    }

    @Override
    public long release(RoundLedger ledger) throws IOException {
        try {
            release(ledger.model());
        } catch (NoSuchFileException e) {
            // It was there when its checkpoint was made; without it the ledger still says much.
            LOG.warn(
                    "somebody has removed {}, so there is no {}",
                    e.getFile(),
                    model(ledger.round()));
        }
        Path file = ledger(ledger.round());
        LedgerFile parts = parts(ledger.model());
        if (parts.joined()) {
            // The same release has come before, and its checkpoint again.
            return 0;
        }
        Path part = file.resolveSibling(file.getFileName() + PART);
        parts.join(ledger, part);
        replace(part, file);
        // The evaluator may have been faster than the checkpoint that this release waited for.
        addEvaluation(ledger.model(), file);
        parts.remove();
        return Files.size(file);
    }

    @Override
    public long evaluate(Evaluation evaluation) throws IOException {
        byte[] json = Json.encode(evaluation);
        note(VERSIONS, evaluation.model() + EVALUATION, json);
        Path ledger = ledger(evaluation.round());
        if (LedgerFile.isOf(ledger, evaluation.model())) {
            addEvaluation(evaluation.model(), ledger);
        }
        return json.length;
    }

    /** A release and an evaluation may come at once; whoever is later writes what is newest. */
    private void addEvaluation(RoundId version, Path ledger) throws IOException {
        Path kept = evaluation(version);
        Optional<String> written = Optional.empty();
        while (Files.exists(kept)) {
            String newest = Files.readString(kept);
            if (written.equals(Optional.of(newest))) {
                return;
            }
            LedgerFile.evaluate(ledger, newest);
            written = Optional.of(newest);
        }
    }

    private Path evaluation(RoundId version) {
        return versions().resolve(version + EVALUATION + NOTE);
    }

    private LedgerFile parts(RoundId version) {
        return new LedgerFile(versions().resolve(version + ".ledger"));
    }

    @Override
    public void ledger(LedgerPart part) throws IOException {
        parts(part.ledger().model()).write(part.number(), part.ledger().updates());
    }

    @Override
    public void forceLedger(RoundId version) throws IOException {
        parts(version).force();
    }

    private void release(RoundId version) throws IOException {
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

    @Override
    public void note(String group, String name, byte[] text) throws IOException {
        Path all = Files.createDirectories(Path.of(directory, group));
        Path part = all.resolve("." + UUID.randomUUID());
        Files.write(part, text);
        replace(part, all.resolve(name + NOTE));
    }

    @Override
    public Map<String, byte[]> notes(String group) throws IOException {
        Map<String, byte[]> notes = new TreeMap<>();
        Path all = Path.of(directory, group);
        if (Files.exists(all)) {
            try (DirectoryStream<Path> files = Files.newDirectoryStream(all, "[!.]*" + NOTE)) {
                for (Path file : files) {
                    String name = file.getFileName().toString();
                    notes.put(
                            name.substring(0, name.length() - NOTE.length()),
                            Files.readAllBytes(file));
                }
            }
        }
        return notes;
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
