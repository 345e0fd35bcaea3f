// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.model;

import io.tributary.protocol.Json;
import io.tributary.protocol.message.Evaluation;
import io.tributary.protocol.message.RoundId;
import io.tributary.protocol.message.RoundLedger;
import io.tributary.protocol.tensor.ModelLayout;
import java.io.ByteArrayInputStream;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import org.apache.flink.core.fs.FSDataInputStream;
import org.apache.flink.core.fs.FileStatus;
import org.apache.flink.core.fs.FileSystem;
import org.apache.flink.core.fs.RecoverableFsDataOutputStream;
import org.apache.flink.util.IOUtils;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Models in an object store, by the file system that Flink has for it. An object is written in
 * parts, in order, and is there when the last request has been answered; before that nobody sees
 * it. Models are put together, and read, in files of the host ({@link ModelCache}).
 *
 * <pre>
 * URI/versions/ROUND.EPOCH.safetensors   each version
 * URI/versions/ROUND.EPOCH.rejected      why it is the former model once more, if it is
 * URI/versions/ROUND.EPOCH.ledger/N      a part of the ledger; 'joined' when it is whole
 * URI/model-ROUND.json                   the ledger of the newest version of a round
 * URI/GROUP/NAME.json                    a note
 * </pre>
 *
 * @param uri without a slash at its end
 */
record ObjectModelStore(String uri) implements ModelStore {

    private static final long serialVersionUID = 1L;
    private static final Logger LOG = LoggerFactory.getLogger(ObjectModelStore.class);

    /** Of the last versions that were asked for, since each shard asks. */
    private static final Map<String, Boolean> REJECTED = ModelCache.recent();

    private static final String VERSIONS = "versions";
    private static final String JOINED = "joined";
    private static final String EVALUATION = ".evaluation";
    private static final String NOTE = ".json";

    /** Where this host puts models and ledgers together. */
    private PosixModelStore work() {
        return PosixModelStore.at(ModelCache.directory(uri).resolve("work"));
    }

    private String object(String... names) {
        return uri + "/" + String.join("/", names);
    }

    @Override
    public String place(RoundId version) {
        return object(VERSIONS, version + ".safetensors");
    }

    private String rejection(RoundId version) {
        return object(VERSIONS, version + ".rejected");
    }

    private String ledger(RoundId version, String name) {
        return object(VERSIONS, version + ".ledger", name);
    }

    @Override
    public void prepare() throws IOException {
        create();
        ModelCache.clear(uri);
        work().prepare();
    }

    @Override
    public void create() throws IOException {
        try {
            files().createRecoverableWriter();
        } catch (UnsupportedOperationException e) {
            throw new IOException(
                    "%s: expected a file system whose objects can be committed, as Flink's flink-s3-fs-hadoop; the plugin for this scheme cannot do that"
                            .formatted(uri),
                    e);
        }
    }

    @Override
    public ModelWriter write(RoundId version, ModelLayout layout) throws IOException {
        return new ObjectModelWriter(this, work().write(version, layout), version);
    }

    @Override
    public Path base(RoundId version, ModelSpec initial) {
        String place = version.round() == 0 ? initial.path() : place(version);
        try {
            return version.round() == 0
                    ? InitialModel.of(ModelCache.local(place), initial.sets())
                    : ModelCache.unique(place);
        } catch (NoSuchFileException e) {
            throw new IllegalStateException(
                    "the model that the open round's trainers started from, %s, is not at %s; the models belong to the job's checkpoints: put the object back, and the job goes on"
                            .formatted(version, place),
                    e);
        } catch (IOException e) {
            throw new UncheckedIOException(failed(place, "read", e));
        }
    }

    @Override
    public boolean rejected(RoundId version) {
        Boolean known = REJECTED.get(place(version));
        if (known == null) {
            known = isRejected(version);
            REJECTED.put(place(version), known);
        }
        return known;
    }

    private boolean isRejected(RoundId version) {
        try {
            return files().exists(ModelCache.path(rejection(version)));
        } catch (IOException e) {
            throw new UncheckedIOException(failed(rejection(version), "asked for", e));
        }
    }

    void reject(RoundId version, String why) throws IOException {
        put(rejection(version), (why + "\n").getBytes(StandardCharsets.UTF_8));
    }

    /** Makes a file of this host a version, and returns a file with it. */
    Path put(RoundId version, Path file) throws IOException {
        try {
            try (InputStream in = Files.newInputStream(file)) {
                put(place(version), in);
            }
            return ModelCache.take(file, place(version));
        } finally {
            // Not taken: the next attempt has another name.
            Files.deleteIfExists(file);
        }
    }

    private void put(String object, byte[] bytes) throws IOException {
        put(object, new ByteArrayInputStream(bytes));
    }

    private void put(String object, InputStream bytes) throws IOException {
        try {
            RecoverableFsDataOutputStream out =
                    files().createRecoverableWriter().open(ModelCache.path(object));
            boolean committed = false;
            try {
                bytes.transferTo(out);
                out.closeForCommit().commit();
                committed = true;
            } finally {
                if (!committed) {
                    // Nobody sees it; a store has to delete it. What is committed is closed.
                    IOUtils.closeQuietly(out);
                }
            }
        } catch (IOException e) {
            throw failed(object, "written", e);
        }
    }

    /** What a store says is an answer; who follows the job sees the last cause alone. */
    private static IOException failed(String object, String what, IOException e) {
        LOG.warn("{} cannot be {}", object, what, e);
        Throwable last = e;
        while (last.getCause() != null) {
            last = last.getCause();
        }
        String said = last.getMessage() == null ? last.toString() : last.getMessage();
        return new IOException("%s cannot be %s: %s".formatted(object, what, said));
    }

    private FileSystem files() throws IOException {
        return ModelCache.fileSystem(uri);
    }

    private Optional<byte[]> read(String object) throws IOException {
        try (FSDataInputStream in = files().open(ModelCache.path(object))) {
            return Optional.of(in.readAllBytes());
        } catch (FileNotFoundException e) {
            return Optional.empty();
        }
    }

    /** An object that is there outlives everything. */
    @Override
    public void force(RoundId version) {}

    @Override
    public void ledger(LedgerPart part) throws IOException {
        RoundLedger ledger = part.ledger();
        put(ledger(ledger.model(), Integer.toString(part.number())), Json.encode(ledger.updates()));
    }

    @Override
    public void forceLedger(RoundId version) {}

    @Override
    public long release(RoundLedger ledger) throws IOException {
        RoundId version = ledger.model();
        if (files().exists(ModelCache.path(ledger(version, JOINED)))) {
            // The same release has come before, and its checkpoint again.
            return 0;
        }
        Path parts = ModelCache.scratch(uri);
        Path whole = parts.resolve("whole");
        try {
            int number = 0;
            for (Optional<byte[]> part = part(version, number);
                    part.isPresent();
                    part = part(version, ++number)) {
                Files.write(parts.resolve(Integer.toString(number)), part.get());
            }
            new LedgerFile(parts).join(ledger, whole);
            String object = object("model-" + ledger.round() + NOTE);
            try (InputStream in = Files.newInputStream(whole)) {
                put(object, in);
            }
            // The evaluator may have been faster than the checkpoint that this release waited for.
            addEvaluation(version, object, whole);
            if (number > 0) {
                put(ledger(version, JOINED), JOINED.getBytes(StandardCharsets.UTF_8));
                for (int joined = 0; joined < number; joined++) {
                    files().delete(
                                    ModelCache.path(ledger(version, Integer.toString(joined))),
                                    false);
                }
            }
            return Files.size(whole);
        } finally {
            ModelCache.remove(parts);
        }
    }

    private Optional<byte[]> part(RoundId version, int number) throws IOException {
        return read(ledger(version, Integer.toString(number)));
    }

    @Override
    public long evaluate(Evaluation evaluation) throws IOException {
        byte[] json = Json.encode(evaluation);
        RoundId version = evaluation.model();
        note(VERSIONS, version + EVALUATION, json);
        String object = object("model-" + evaluation.round() + NOTE);
        Optional<byte[]> ledger = read(object);
        if (ledger.isPresent()) {
            Path parts = ModelCache.scratch(uri);
            try {
                Path whole = Files.write(parts.resolve("whole"), ledger.get());
                if (LedgerFile.isOf(whole, version)) {
                    addEvaluation(version, object, whole);
                }
            } finally {
                ModelCache.remove(parts);
            }
        }
        return json.length;
    }

    /** A release and an evaluation may come at once; whoever is later writes what is newest. */
    private void addEvaluation(RoundId version, String object, Path ledger) throws IOException {
        String kept = object(VERSIONS, version + EVALUATION + NOTE);
        Optional<byte[]> written = Optional.empty();
        for (Optional<byte[]> newest = read(kept); newest.isPresent(); newest = read(kept)) {
            if (written.isPresent() && Arrays.equals(written.get(), newest.get())) {
                return;
            }
            LedgerFile.evaluate(ledger, new String(newest.get(), StandardCharsets.UTF_8));
            try (InputStream in = Files.newInputStream(ledger)) {
                put(object, in);
            }
            written = newest;
        }
    }

    @Override
    public void note(String group, String name, byte[] text) throws IOException {
        put(object(group, name + NOTE), text);
    }

    @Override
    public Map<String, byte[]> notes(String group) throws IOException {
        Map<String, byte[]> notes = new TreeMap<>();
        FileStatus[] all;
        try {
            all = files().listStatus(ModelCache.path(object(group)));
        } catch (FileNotFoundException e) {
            return notes;
        }
        for (FileStatus status : all == null ? new FileStatus[0] : all) {
            String name = status.getPath().getName();
            if (!status.isDir() && name.endsWith(NOTE)) {
                String noted = name.substring(0, name.length() - NOTE.length());
                read(object(group, name)).ifPresent(text -> notes.put(noted, text));
            }
        }
        return notes;
    }
}
