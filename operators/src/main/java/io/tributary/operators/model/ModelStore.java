// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.model;

import io.tributary.protocol.message.Evaluation;
import io.tributary.protocol.message.RoundId;
import io.tributary.protocol.message.RoundLedger;
import io.tributary.protocol.tensor.ModelLayout;
import java.io.IOException;
import java.io.Serializable;
import java.nio.file.Path;
import java.util.Map;

/**
 * Where a job's models and their ledgers are, and what it notes beside them. All task managers see
 * the same. A version is never written again, so a job that goes back to an older checkpoint finds
 * the models that it names. Immutable and thread-safe.
 */
public interface ModelStore extends Serializable {

    /**
     * The store at a place: a directory that all task managers see, or the URI of one in an object
     * store that Flink has a file system for, such as {@code s3://bucket/models}.
     */
    static ModelStore at(String place) {
        return isObject(place)
                ? new ObjectModelStore(place.replaceAll("/+$", ""))
                : PosixModelStore.at(Path.of(place));
    }

    /** Whether a place is a URI in an object store; others are files of all task managers. */
    static boolean isObject(String place) {
        return ModelCache.isObject(place);
    }

    /**
     * Makes its place, which may be there.
     *
     * @throws IOException when it cannot be a store
     */
    void create() throws IOException;

    /** Makes it ready, and removes what was being written when somebody was killed. */
    void prepare() throws IOException;

    /** Begins to write a version. */
    ModelWriter write(RoundId version, ModelLayout layout) throws IOException;

    /** Where a version is, for {@link PublishedModel}. */
    String place(RoundId version);

    /**
     * A file of this host with a version that trainers start from: of round 0, the one that the job
     * began with.
     *
     * @throws IllegalStateException when it is not there
     */
    Path base(RoundId version, ModelSpec initial);

    /**
     * Whether a version is the former model once more, because what its round brought was rejected.
     * It is known as soon as the version is there.
     */
    boolean rejected(RoundId version);

    /** Waits until a version outlives a power cut. */
    void force(RoundId version) throws IOException;

    /**
     * Writes a part of a version's ledger that others follow, or writes it again; {@link
     * #forceLedger} makes it last.
     */
    void ledger(LedgerPart part) throws IOException;

    /** Waits until the parts of a version's ledger that have been written outlive a power cut. */
    void forceLedger(RoundId version) throws IOException;

    /**
     * Makes a version the newest of its round for people, and writes beside it which updates are in
     * it.
     *
     * @param ledger with the updates that are in no part written before
     * @return bytes of the ledger
     * @throws IOException when the store cannot be written
     */
    long release(RoundLedger ledger) throws IOException;

    /**
     * Writes into the ledger of a model what the evaluator has found out, in place of its earlier
     * word.
     *
     * @return bytes of what is written
     * @throws IOException when the store cannot be written
     */
    long evaluate(Evaluation evaluation) throws IOException;

    /**
     * Writes a note, or replaces it; it is there after a power cut.
     *
     * @param group of what it is
     * @param name of the note, unique in its group
     */
    void note(String group, String name, byte[] text) throws IOException;

    /** All notes of a group by name. */
    Map<String, byte[]> notes(String group) throws IOException;
}
