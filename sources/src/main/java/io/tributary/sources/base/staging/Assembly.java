// SPDX-License-Identifier: Apache-2.0

package io.tributary.sources.base.staging;

import io.tributary.memory.region.OwnedRegion;
import io.tributary.memory.region.RegionLayout;
import io.tributary.memory.region.TensorFile;
import io.tributary.protocol.RejectReason;
import io.tributary.protocol.RejectedException;
import io.tributary.protocol.chunk.ChunkHeader;
import io.tributary.protocol.message.Claim;
import io.tributary.protocol.message.PayloadRef;
import io.tributary.protocol.message.UpdateDescription;
import io.tributary.protocol.tensor.ModelLayout;
import io.tributary.sources.base.message.Message;
import java.util.BitSet;
import java.util.OptionalInt;

/** One update that is being put together in its region. Not thread-safe. */
final class Assembly {

    private final int lane;
    private long position;
    private final OwnedRegion region;
    private final Message message;
    private final Superseded superseded = new Superseded();
    private final boolean spared;
    private final long began;
    private ChunkHeader first;
    private final BitSet written = new BitSet();
    private final BitSet seenInAttempt = new BitSet();
    private long progressed;
    private boolean resent;

    /**
     * @param message what it begins with
     * @param spared whether it keeps its region though others wait for one
     */
    Assembly(ChunkHeader first, Message message, OwnedRegion region, boolean spared, long now) {
        this.message = message.reminder();
        this.spared = spared;
        this.began = now;
        this.first = first;
        this.lane = message.lane();
        this.position = message.position();
        this.region = region;
        this.progressed = now;
    }

    int lane() {
        return lane;
    }

    /** Where in its lane it begins. */
    long position() {
        return position;
    }

    /** Whether nothing of it has come since there was room for it. */
    boolean expected() {
        return written.isEmpty();
    }

    /** Attempts that came before the one of now. */
    Superseded superseded() {
        return superseded;
    }

    /** Where it came in. */
    Message message() {
        return message;
    }

    /** Whether it has had to give its region up once already. */
    boolean spared() {
        return spared;
    }

    ChunkHeader header() {
        return first;
    }

    /** When bytes last came that had not come before, or when it began, ns. */
    long progressed() {
        return progressed;
    }

    /** When it began, ns. */
    long began() {
        return began;
    }

    /** The same update is being sent again; what has been written of it stays. */
    void resend(ChunkHeader header) {
        superseded.add(first.attempt());
        first = header;
        seenInAttempt.clear();
        resent = true;
    }

    /** Whether more than one sending went into it. */
    boolean resent() {
        return resent;
    }

    /**
     * @throws RejectedException CHUNK_DUPLICATE; the assembly stays as it is
     */
    void write(ChunkHeader header, Message message, long now) {
        // A later chunk may have overtaken one that waited.
        position = Math.min(position, message.position());
        int chunk = header.part().chunk();
        if (seenInAttempt.get(chunk)) {
            throw new RejectedException(
                    RejectReason.CHUNK_DUPLICATE,
                    "chunk %d of %d has come already".formatted(chunk, header.part().chunks()));
        }
        if (!written.get(chunk)) {
            region.memory()
                    .slice(header.part().offset(), message.payload().length)
                    .put(message.payload());
            written.set(chunk);
            progressed = now;
        }
        seenInAttempt.set(chunk);
    }

    boolean complete() {
        return written.cardinality() == first.part().chunks();
    }

    /**
     * Checks the whole and publishes the region.
     *
     * @throws RejectedException CHECKSUM, MALFORMED, WRONG_SHAPE or NOT_FINITE; the region is as it
     *     was
     */
    Claim finish(ModelLayout model) {
        PayloadRef payload = region.payload();
        int crc32c;
        try (TensorFile file = TensorFile.open(payload, model.maxUpdateHeaderBytes())) {
            crc32c = file.check(model, OptionalInt.of(first.part().crc32c()));
        }
        UpdateDescription description =
                new UpdateDescription(
                        first.job(),
                        first.trainer(),
                        first.round(),
                        first.epoch(),
                        first.attempt(),
                        first.samples(),
                        first.kind(),
                        first.metrics(),
                        first.dropped());
        region.publish(
                new OwnedRegion.Content(OptionalInt.of(crc32c), true),
                description.encode(RegionLayout.MAX_DESCRIPTION_BYTES));
        return description.claim(crc32c, true, payload);
    }

    OwnedRegion region() {
        return region;
    }
}
