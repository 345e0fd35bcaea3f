// SPDX-License-Identifier: Apache-2.0

package io.tributary.trainer;

import io.tributary.memory.region.MappedFile;
import io.tributary.memory.region.OwnedRegion;
import io.tributary.memory.region.TensorFile;
import io.tributary.protocol.message.Metrics;
import io.tributary.protocol.message.Receipt;
import io.tributary.protocol.message.RoundId;
import io.tributary.protocol.message.RoundPlan;
import io.tributary.protocol.message.UpdateDescription;
import io.tributary.protocol.message.UpdateKind;
import io.tributary.protocol.tensor.SafetensorsHeader;
import io.tributary.protocol.tensor.TensorInfo;
import java.nio.ByteBuffer;
import java.nio.FloatBuffer;
import java.security.SecureRandom;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/**
 * An update that is filled in place: each tensor is a writable view of the safetensors file that is
 * sent or, over shared memory, folded where it lies. Not thread-safe.
 */
public final class ModelUpdate {

    private static final SecureRandom RANDOM = new SecureRandom();

    private final UpdateRegions.Owned owned;
    private int generation;
    private final RoundPlan plan;
    private final SafetensorsHeader header;
    private final TensorFile model;
    private final Map<String, Double> metrics = new HashMap<>();
    private final Set<String> untouched = new LinkedHashSet<>();
    private final Set<Long> attempts = new LinkedHashSet<>();
    private Optional<OwnedRegion.Content> content = Optional.empty();
    private boolean promises = true;
    private boolean computedNorm;
    private long samples;

    /**
     * @param header of the file that is sent
     * @param model from which training began
     */
    ModelUpdate(UpdateRegions regions, RoundPlan plan, SafetensorsHeader header, TensorFile model) {
        this.plan = plan;
        this.model = model;
        this.header = header;
        this.owned = regions.take(header.fileLength());
        this.generation = owned.region().payload().generation();
        byte[] bytes = header.bytes();
        memory().slice(0, bytes.length).put(bytes);
        header.tensors().stream()
                .filter(t -> t.elements() > 0)
                .map(TensorInfo::name)
                .forEach(untouched::add);
    }

    /**
     * A writable, little-endian view of a tensor's bytes. What is in them is left over from
     * something else; all must be written.
     *
     * @param name a tensor of at most 256 MiB
     * @throws IllegalStateException when another update was begun instead of this one
     */
    public ByteBuffer bytes(String name) {
        TensorInfo tensor = TrainingRound.find(header, name);
        return bytes(name, 0, Math.toIntExact(tensor.elements()));
    }

    /**
     * The same for a part of a tensor.
     *
     * @param from first element
     * @param count number of elements, at most 256 MiB of them
     */
    public ByteBuffer bytes(String name, long from, int count) {
        TensorInfo tensor = TrainingRound.find(header, name);
        checkMine();
        untouched.remove(name);
        unseal();
        int size = tensor.dtype().bytes();
        return memory().slice(
                        header.dataOffset() + tensor.begin() + from * size,
                        Math.multiplyExact(count, size));
    }

    /** The same for an F32 tensor, as floats in row-major order. */
    public FloatBuffer floats(String name) {
        return bytes(name).asFloatBuffer();
    }

    /** The number of training samples, the update's weight, ≥ 1. */
    public ModelUpdate samples(long count) {
        samples = count;
        return this;
    }

    /**
     * Something measured in training, for example {@code loss}, or something that the job's
     * algorithm computes with ({@link TrainingRound#expected}).
     */
    public ModelUpdate metric(String name, double value) {
        metrics.put(name, value);
        return this;
    }

    long samples() {
        return samples;
    }

    Map<String, Double> metrics() {
        return metrics;
    }

    RoundId id() {
        return plan.id();
    }

    UpdateKind kind() {
        return plan.kind();
    }

    UpdateRegions.Owned owned() {
        return owned;
    }

    MappedFile memory() {
        return owned.region().memory();
    }

    /**
     * Looks at all values and computes their checksum, which {@link TrainerClient#send} does
     * otherwise. It costs a pass over the update, and saves the job one over shared memory. Nothing
     * may be written between this and the answer.
     *
     * @throws IllegalStateException when not all tensors have been written
     */
    public ModelUpdate seal() {
        checkWritten();
        content = Optional.of(TensorFile.content(memory(), header));
        return this;
    }

    /** What the job need not find out again. */
    OwnedRegion.Content content() {
        OwnedRegion.Content found = content.or(() -> seal().content).orElseThrow();
        return new OwnedRegion.Content(found.crc32c(), found.finite() && promises);
    }

    /** Whether its region is its own again. */
    boolean released() {
        return owned.region().released();
    }

    /** It may be written again. */
    void unseal() {
        content = Optional.empty();
    }

    /**
     * From now on the job is to look at the values itself.
     *
     * @return false where it does so already
     */
    boolean withdrawPromise() {
        boolean before = promises;
        promises = false;
        // Answers to what was sent with the promise are no answers any more.
        attempts.clear();
        return before;
    }

    UpdateDescription description(String job, String trainer) {
        return new UpdateDescription(
                job, trainer, id().round(), id().epoch(), attempt(), samples, kind(), metrics);
    }

    /** A name for a new sending of it. */
    long attempt() {
        // Drawn, because a clock that is set back would give names that have been used.
        long attempt = 1 + RANDOM.nextLong(RoundId.MAX_EPOCH);
        attempts.add(attempt);
        return attempt;
    }

    /** Whether a receipt answers one of its sendings. */
    boolean answeredBy(Receipt receipt) {
        return attempts.contains(receipt.attempt());
    }

    /** Its region has been given back, and is its own once more. */
    void renewed() {
        generation = owned.region().payload().generation();
    }

    private void checkMine() {
        if (owned.region().closed() || owned.region().payload().generation() != generation) {
            throw new IllegalStateException(
                    "update for round %s: it was given up, because newUpdate() was called again or the client was closed; write the newer one"
                            .formatted(id()));
        }
    }

    /**
     * Adds what the job's algorithm computes with, as far as it is known here.
     *
     * @throws IllegalStateException when something else is missing
     */
    void complete() {
        List<String> wanted = plan.expects().metrics();
        if (wanted.contains(SquaredNorm.NAME)
                && (computedNorm || !metrics.containsKey(SquaredNorm.NAME))) {
            // Anew each time, since tensors may have been mended since.
            computedNorm = true;
            metrics.put(SquaredNorm.NAME, SquaredNorm.of(memory(), header, kind(), model));
        }
        for (String name : wanted) {
            if (!metrics.containsKey(name)) {
                throw new IllegalStateException(
                        "update for round %s: metric '%s' is missing, and the job's algorithm computes with it; add it with metric()"
                                .formatted(id(), name));
            }
        }
        // The job keeps the first by name, whatever it needs.
        List<String> others =
                metrics.keySet().stream().filter(name -> !wanted.contains(name)).sorted().toList();
        int room = Math.max(0, Metrics.MAX_COUNT - wanted.size());
        if (others.size() > room) {
            metrics.keySet().removeAll(others.subList(room, others.size()));
        }
    }

    /** Refuses to send what was never written, which would be left over from something else. */
    void checkWritten() {
        checkMine();
        if (!untouched.isEmpty()) {
            throw new IllegalStateException(
                    "update for round %s: tensors %s have not been written; ask for their bytes() or floats() and fill them"
                            .formatted(id(), untouched));
        }
    }
}
