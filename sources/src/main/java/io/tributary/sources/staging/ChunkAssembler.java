// SPDX-License-Identifier: Apache-2.0

package io.tributary.sources.staging;

import io.tributary.protocol.RejectReason;
import io.tributary.protocol.RejectedException;
import io.tributary.protocol.chunk.ChunkHeader;
import io.tributary.protocol.message.Arrival;
import io.tributary.protocol.message.Claim;
import io.tributary.protocol.tensor.ModelLayout;
import io.tributary.shm.region.FiniteCheck;
import io.tributary.shm.region.OwnedRegion;
import io.tributary.shm.region.RegionDirectory;
import io.tributary.sources.message.Message;
import io.tributary.sources.message.MessageDecoder.LaneOutput;
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
import java.util.OptionalLong;
import java.util.Set;
import java.util.function.Consumer;
import java.util.function.LongSupplier;
import java.util.stream.LongStream;

/**
 * Stages chunks straight into regions and emits a claim when an update is whole and sound.
 *
 * <p>A region of full length is reserved at an update's first chunk, so an update that has begun
 * can always be finished. Chunks of updates for which there is no room wait, not done, which holds
 * the transport back; when too many wait, the update is deferred: its chunks are let go, and when
 * there is room again, first come, first served, its region is reserved and its trainer is asked to
 * send it again. So whoever has room finishes, and whoever has none gets some. Not thread-safe.
 */
final class ChunkAssembler implements AutoCloseable {

    /** Trainers whose last update is remembered, to tell a repeated chunk from a new sending. */
    private static final int REMEMBERED = 10_000;

    /** Time that a trainer has to begin a sending that it was asked for. */
    private static final Duration LONGEST_EXPECTATION = Duration.ofSeconds(30);

    private static final long TRIM_NANOS = 1_000_000_000;

    private final String job;
    private final ModelLayout model;
    private final StagingRegions regions;
    private final Limits limits;
    private final FiniteCheck floats;
    private final LongSupplier nanoTime;
    private final Map<String, Assembly> assemblies = new HashMap<>();
    private final Map<String, Ended> ended = new RecentlyEnded();
    private final Deque<Message> waiting = new ArrayDeque<>();

    private long trimmed;

    /** Updates without room, by trainer, in the order in which they came. */
    private final Map<String, Deferred> deferred = new LinkedHashMap<>();

    /**
     * What is held, and for how long.
     *
     * @param maxWaiting chunks that may wait for room
     * @param idle time without a chunk after which an unfinished update is thrown away
     * @param ordered whether the chunks of a sending come in order, and from the first; those of
     *     which the first is missing are then leftovers of what was dealt with
     */
    record Limits(int maxWaiting, Duration idle, boolean ordered) {}

    private record Deferred(ChunkHeader header, Message message) {}

    /**
     * @param job only updates for this job are taken
     * @param model what updates must look like
     * @param regions where they are staged
     * @param floats how float32 values are checked
     * @param nanoTime the clock
     */
    ChunkAssembler(
            String job,
            ModelLayout model,
            RegionDirectory regions,
            Limits limits,
            FiniteCheck floats,
            LongSupplier nanoTime) {
        this.job = job;
        this.model = model;
        this.regions = new StagingRegions(regions);
        this.limits = limits;
        this.floats = floats;
        this.nanoTime = nanoTime;
    }

    /** Takes a chunk; emits a claim or a refusal, if that follows from it. */
    void accept(Message chunk, Consumer<Arrival> out) throws IOException {
        if (!stage(chunk, out)) {
            if (waiting.size() < limits.maxWaiting()) {
                waiting.add(chunk);
            } else {
                defer(chunk);
            }
        }
    }

    private void defer(Message chunk) {
        deferred.put(chunk.sender(), new Deferred(read(chunk), chunk.withoutPayload()));
        chunk.done().run();
        // All of it will come again.
        waiting.removeIf(
                other -> {
                    boolean same = other.sender().equals(chunk.sender());
                    if (same) {
                        other.done().run();
                    }
                    return same;
                });
    }

    /**
     * Tries the chunks that wait, gives room to deferred updates, and throws away updates that
     * nobody goes on with.
     */
    void tick(LaneOutput out) throws IOException {
        long now = nanoTime.getAsLong();
        for (Iterator<Assembly> all = assemblies.values().iterator(); all.hasNext(); ) {
            Assembly assembly = all.next();
            if (now - assembly.lastTouched() > patience(assembly).toNanos()) {
                regions.giveBack(assembly.region());
                all.remove();
            }
        }
        for (int i = waiting.size(); i > 0; i--) {
            Message chunk = waiting.remove();
            if (!stage(chunk, arrival -> out.accept(chunk.lane(), arrival))) {
                waiting.add(chunk);
            }
        }
        if (now - trimmed > TRIM_NANOS) {
            trimmed = now;
            regions.trim();
        }
        boolean room = true;
        for (Iterator<Deferred> all = deferred.values().iterator(); all.hasNext() && room; ) {
            Deferred next = all.next();
            Optional<Assembly> reserved = reserve(next.header(), next.message());
            room = reserved.isPresent();
            if (room) {
                all.remove();
                out.accept(
                        next.message().lane(),
                        new Arrival.Room(next.header().trainer(), next.header().id()));
            }
        }
    }

    private Duration patience(Assembly assembly) {
        boolean shorter = LONGEST_EXPECTATION.compareTo(limits.idle()) < 0;
        return assembly.expected() && shorter ? LONGEST_EXPECTATION : limits.idle();
    }

    /** The first position of a lane whose chunk is not dealt with. */
    OptionalLong neededFrom(int lane) {
        return LongStream.concat(
                        assemblies.values().stream()
                                .filter(a -> a.lane() == lane)
                                .mapToLong(Assembly::position),
                        waiting.stream().filter(w -> w.lane() == lane).mapToLong(Message::position))
                .min();
    }

    /** Updates being put together. */
    int staging() {
        return assemblies.size();
    }

    /** Chunks waiting for room. */
    int waiting() {
        return waiting.size();
    }

    /** Updates that will be asked for again. */
    int deferred() {
        return deferred.size();
    }

    /**
     * @return false when there is no room now
     */
    private boolean stage(Message chunk, Consumer<Arrival> out) throws IOException {
        Optional<ChunkHeader> header = Optional.empty();
        try {
            header = Optional.of(read(chunk));
            if (restOfResend(header.get()) || leftover(header.get()) || letGo(header.get())) {
                chunk.done().run();
                return true;
            }
            Optional<Assembly> assembly = assembly(header.get(), chunk);
            if (assembly.isEmpty()) {
                return false;
            }
            assembly.get().write(header.get(), chunk, nanoTime.getAsLong());
            if (assembly.get().complete()) {
                end(header.get(), assembly.get());
                out.accept(new Arrival.Staged(finish(assembly.get())));
            }
        } catch (RejectedException e) {
            out.accept(Refusals.of(chunk, header, e));
        }
        chunk.done().run();
        return true;
    }

    private Claim finish(Assembly assembly) {
        try {
            return assembly.finish(model, floats);
        } catch (RuntimeException e) {
            regions.giveBack(assembly.region());
            throw e;
        }
    }

    private ChunkHeader read(Message chunk) {
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

    private Optional<Assembly> assembly(ChunkHeader header, Message chunk) throws IOException {
        Ended before = ended.get(header.trainer());
        if (before != null && before.header().id().equals(header.id())) {
            if (before.header().attempt() == header.attempt()) {
                throw new RejectedException(
                        RejectReason.CHUNK_DUPLICATE,
                        "its update has been dealt with; a resend needs a new attempt");
            }
            refuseSuperseded(before.superseded(), header);
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
            refuseSuperseded(current.superseded(), header);
            if (current.header().sameUpdate(header)) {
                // Its trainer lost patience; were its progress thrown away, it could starve.
                current.resend(header);
                return Optional.of(current);
            }
        }
        return begin(header, chunk);
    }

    /** Attempts tell sendings apart; they need not rise, since clocks may be set back. */
    private static void refuseSuperseded(Set<Long> superseded, ChunkHeader header) {
        if (superseded.contains(header.attempt())) {
            throw new RejectedException(
                    RejectReason.CHUNK_UNKNOWN_ATTEMPT,
                    "attempt %d was superseded by another".formatted(header.attempt()));
        }
    }

    private Optional<Assembly> begin(ChunkHeader header, Message chunk) throws IOException {
        long length = header.part().length();
        long most = Math.min(model.maxUpdateBytes(), regions.largestPayload());
        if (length > most) {
            ended.put(header.trainer(), new Ended(header, false, Set.of()));
            throw new RejectedException(
                    RejectReason.TOO_LARGE,
                    "it has %d bytes, this model's updates have at most %d"
                            .formatted(length, most));
        }
        // Who came before and was deferred has the next room.
        boolean first = deferred.isEmpty() || assemblies.containsKey(header.trainer());
        return first ? reserve(header, chunk) : Optional.empty();
    }

    private Optional<Assembly> reserve(ChunkHeader header, Message chunk) throws IOException {
        Assembly before = assemblies.remove(header.trainer());
        if (before != null) {
            regions.giveBack(before.region());
        }
        Optional<OwnedRegion> region = regions.take(chunk.lane(), header.part().length());
        Optional<Assembly> assembly =
                region.map(r -> new Assembly(header, chunk, r, nanoTime.getAsLong()));
        assembly.ifPresent(
                a -> {
                    if (before != null && before.header().id().equals(header.id())) {
                        a.superseded().addAll(before.superseded());
                        a.superseded().add(before.header().attempt());
                    }
                    assemblies.put(header.trainer(), a);
                });
        return assembly;
    }

    private void end(ChunkHeader header, Assembly assembly) {
        assemblies.remove(header.trainer());
        ended.put(
                header.trainer(),
                new Ended(header, assembly.resent(), Set.copyOf(assembly.superseded())));
    }

    /** In order, what does not begin with its first chunk was dealt with before a restore. */
    private boolean leftover(ChunkHeader header) {
        return limits.ordered()
                && header.part().chunk() > 0
                && !assemblies.containsKey(header.trainer())
                && !deferred.containsKey(header.trainer())
                && waiting.stream().noneMatch(w -> w.sender().equals(header.trainer()))
                && !ended.containsKey(header.trainer());
    }

    /** Whether it belongs to a deferred update, which will come again as a whole. */
    private boolean letGo(ChunkHeader header) {
        Deferred before = deferred.get(header.trainer());
        if (before == null || before.header().id().compareTo(header.id()) > 0) {
            return false;
        }
        // It may be a newer update; it has the place of the one before.
        deferred.put(header.trainer(), new Deferred(header, before.message()));
        return true;
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
     * @param superseded the attempts before it
     */
    private record Ended(ChunkHeader header, boolean resent, Set<Long> superseded) {}

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
        assemblies.values().forEach(assembly -> regions.giveBack(assembly.region()));
        assemblies.clear();
        waiting.clear();
        deferred.clear();
        regions.close();
    }
}
