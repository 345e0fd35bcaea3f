// SPDX-License-Identifier: Apache-2.0

package io.tributary.sources.staging;

import io.tributary.protocol.RejectReason;
import io.tributary.protocol.RejectedException;
import io.tributary.protocol.chunk.ChunkHeader;
import io.tributary.protocol.message.Arrival;
import io.tributary.protocol.message.DeadLetter;
import io.tributary.protocol.tensor.ModelLayout;
import io.tributary.shm.region.JobDirectory;
import io.tributary.shm.region.RegionDirectory;
import io.tributary.shm.region.RegionWriter;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.HashMap;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import java.util.UUID;
import java.util.function.Consumer;
import java.util.function.LongSupplier;

/**
 * Stages chunks straight into regions and emits a claim when an update is whole and sound.
 *
 * <p>A region of full length is reserved at an update's first chunk, so an update that has begun
 * can always be finished. Chunks of updates for which there is no room wait, not done, which holds
 * the transport back; when too many wait, the newest are forgotten, and their trainer, which gets
 * no receipt, sends again. Not thread-safe.
 */
public final class ChunkAssembler implements AutoCloseable {

    /** Trainers whose last update is remembered, to tell a repeated chunk from a new sending. */
    private static final int REMEMBERED = 10_000;

    private final String job;
    private final ModelLayout model;
    private final RegionDirectory regions;
    private final int maxWaiting;
    private final long idleNanos;
    private final LongSupplier nanoTime;
    private final Map<String, Assembly> assemblies = new HashMap<>();
    private final Map<String, Ended> ended = new RecentlyEnded();
    private final Deque<Chunk> waiting = new ArrayDeque<>();
    private long forgotten;

    /**
     * @param job only updates for this job are taken
     * @param model what updates must look like
     * @param regions where they are staged
     * @param maxWaiting chunks that may wait for room
     * @param idle time without a chunk after which an unfinished update is thrown away
     * @param nanoTime the clock
     */
    public ChunkAssembler(
            String job,
            ModelLayout model,
            RegionDirectory regions,
            int maxWaiting,
            Duration idle,
            LongSupplier nanoTime) {
        this.job = job;
        this.model = model;
        this.regions = regions;
        this.maxWaiting = maxWaiting;
        this.idleNanos = idle.toNanos();
        this.nanoTime = nanoTime;
    }

    /** Takes a chunk; emits a claim or a refusal, if that follows from it. */
    public void accept(Chunk chunk, Consumer<Arrival> out) throws IOException {
        if (!stage(chunk, out)) {
            if (waiting.size() < maxWaiting) {
                waiting.add(chunk);
            } else {
                forgotten++;
                chunk.done().run();
            }
        }
    }

    /** Tries the chunks that wait, and throws away updates that nobody goes on with. */
    public void tick(Consumer<Arrival> out) throws IOException {
        long now = nanoTime.getAsLong();
        for (Iterator<Assembly> all = assemblies.values().iterator(); all.hasNext(); ) {
            Assembly assembly = all.next();
            if (now - assembly.lastTouched() > idleNanos) {
                assembly.discard();
                all.remove();
            }
        }
        for (int i = waiting.size(); i > 0; i--) {
            Chunk chunk = waiting.remove();
            if (!stage(chunk, out)) {
                waiting.add(chunk);
            }
        }
    }

    /** Updates being put together. */
    public int staging() {
        return assemblies.size();
    }

    /** Chunks waiting for room. */
    public int waiting() {
        return waiting.size();
    }

    /** Chunks forgotten for want of room. */
    public long forgotten() {
        return forgotten;
    }

    /**
     * @return false when there is no room now
     */
    private boolean stage(Chunk chunk, Consumer<Arrival> out) throws IOException {
        Optional<ChunkHeader> header = Optional.empty();
        try {
            header = Optional.of(read(chunk));
            if (restOfResend(header.get())) {
                chunk.done().run();
                return true;
            }
            Optional<Assembly> assembly = assembly(header.get());
            if (assembly.isEmpty()) {
                return false;
            }
            assembly.get()
                    .write(header.get(), ByteBuffer.wrap(chunk.payload()), nanoTime.getAsLong());
            if (assembly.get().complete()) {
                end(header.get(), assembly.get().resent());
                out.accept(new Arrival.Staged(assembly.get().finish(model)));
            }
        } catch (RejectedException e) {
            out.accept(refusal(chunk, header, e));
        }
        chunk.done().run();
        return true;
    }

    private ChunkHeader read(Chunk chunk) {
        ChunkHeader header = ChunkHeader.fromProperties(chunk.properties());
        if (!header.trainer().equals(chunk.sender())) {
            throw new RejectedException(
                    RejectReason.MALFORMED,
                    "property 'trainer' is '%s', the sender is '%s'"
                            .formatted(header.trainer(), chunk.sender()));
        }
        if (!header.job().equals(job)) {
            throw new RejectedException(
                    RejectReason.WRONG_JOB,
                    "it is for job '%s', this is '%s'".formatted(header.job(), job));
        }
        header.part().check(ByteBuffer.wrap(chunk.payload()));
        return header;
    }

    private Optional<Assembly> assembly(ChunkHeader header) throws IOException {
        Ended before = ended.get(header.trainer());
        if (before != null && before.header().id().equals(header.id())) {
            if (before.header().attempt() == header.attempt()) {
                throw new RejectedException(
                        RejectReason.CHUNK_DUPLICATE,
                        "its update has been dealt with; a resend needs a new attempt");
            }
            refuseOlder(before.header(), header);
        }
        Assembly current = assemblies.get(header.trainer());
        if (current != null && current.header().id().compareTo(header.id()) > 0) {
            throw new RejectedException(
                    RejectReason.CHUNK_UNKNOWN_ATTEMPT,
                    "its trainer is sending its update for round %s already"
                            .formatted(current.header().id()));
        }
        if (current != null && current.header().id().equals(header.id())) {
            if (current.header().attempt() == header.attempt()) {
                if (!current.header().sameUpdate(header)) {
                    throw new RejectedException(
                            RejectReason.CHUNK_UNKNOWN_ATTEMPT,
                            "its header contradicts the first chunk of attempt "
                                    + header.attempt());
                }
                return Optional.of(current);
            }
            refuseOlder(current.header(), header);
            if (current.header().sameUpdate(header)) {
                // Its trainer lost patience; were its progress thrown away, it could starve.
                current.resend(header);
                return Optional.of(current);
            }
        }
        return begin(header);
    }

    private static void refuseOlder(ChunkHeader newer, ChunkHeader header) {
        if (header.attempt() < newer.attempt()) {
            throw new RejectedException(
                    RejectReason.CHUNK_UNKNOWN_ATTEMPT,
                    "attempt %d was superseded by attempt %d"
                            .formatted(header.attempt(), newer.attempt()));
        }
    }

    private Optional<Assembly> begin(ChunkHeader header) throws IOException {
        long length = header.part().length();
        long most = Math.min(model.maxUpdateBytes(), regions.largestPayload());
        if (length > most) {
            ended.put(header.trainer(), new Ended(header, false));
            throw new RejectedException(
                    RejectReason.TOO_LARGE,
                    "it has %d bytes, this model's updates have at most %d"
                            .formatted(length, most));
        }
        Assembly superseded = assemblies.remove(header.trainer());
        if (superseded != null) {
            superseded.discard();
        }
        Optional<RegionWriter> region =
                regions.reserve(
                        JobDirectory.updateName(header.trainer(), UUID.randomUUID()), length);
        return region.map(
                writer -> {
                    Assembly assembly = new Assembly(header, writer);
                    assemblies.put(header.trainer(), assembly);
                    return assembly;
                });
    }

    private void end(ChunkHeader header, boolean resent) {
        assemblies.remove(header.trainer());
        ended.put(header.trainer(), new Ended(header, resent));
    }

    /** A resend may be complete before its last chunk has come, and that is no mistake. */
    private boolean restOfResend(ChunkHeader header) {
        Ended before = ended.get(header.trainer());
        return before != null
                && before.resent()
                && before.header().id().equals(header.id())
                && before.header().attempt() == header.attempt();
    }

    /**
     * A sending that is over.
     *
     * @param header its last chunk's
     * @param resent whether earlier sendings had a part in it
     */
    private record Ended(ChunkHeader header, boolean resent) {}

    /** A refused chunk is not a refused update: its trainer sends the update again. */
    private static boolean concernsUpdate(RejectReason reason) {
        return switch (reason) {
            case CHUNK_DUPLICATE, CHUNK_CORRUPT, CHUNK_OUT_OF_RANGE, CHUNK_UNKNOWN_ATTEMPT -> false;
            default -> true;
        };
    }

    private static Arrival refusal(Chunk chunk, Optional<ChunkHeader> header, RejectedException e) {
        String about =
                header.map(
                                h ->
                                        "update from trainer %s for round %s"
                                                .formatted(h.trainer(), h.id()))
                        .orElse("message from " + chunk.sender());
        return new Arrival.Refused(
                new DeadLetter(
                        chunk.source(),
                        header.map(ChunkHeader::trainer).orElse(""),
                        header.map(ChunkHeader::round).orElse(0),
                        header.map(ChunkHeader::epoch).orElse(0),
                        e.reason(),
                        about + ": " + e.getMessage()),
                header.isPresent() && concernsUpdate(e.reason()));
    }

    /** Forgets the trainers not heard of for longest; what is forgotten is a resend's affair. */
    private static final class RecentlyEnded extends LinkedHashMap<String, Ended> {

        private static final long serialVersionUID = 1L;

        RecentlyEnded() {
            super(16, 0.75f, true);
        }

        @Override
        protected boolean removeEldestEntry(Map.Entry<String, Ended> eldest) {
            return size() > REMEMBERED;
        }
    }

    @Override
    public void close() throws IOException {
        for (Assembly assembly : assemblies.values()) {
            assembly.discard();
        }
        assemblies.clear();
        waiting.clear();
    }
}
