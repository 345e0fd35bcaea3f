// SPDX-License-Identifier: Apache-2.0

package io.tributary.sources.base.staging;

import io.tributary.memory.region.OwnedRegion;
import io.tributary.protocol.RejectReason;
import io.tributary.protocol.RejectedException;
import io.tributary.protocol.chunk.ChunkHeader;
import io.tributary.protocol.message.Claim;
import io.tributary.protocol.message.Run;
import io.tributary.protocol.message.TrainerEvent;
import io.tributary.protocol.tensor.ModelLayout;
import io.tributary.sources.base.message.Message;
import io.tributary.sources.base.message.MessageDecoder.LaneOutput;
import io.tributary.sources.base.staging.DeferredUpdates.Deferred;
import java.io.IOException;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.Comparator;
import java.util.Deque;
import java.util.HashMap;
import java.util.Iterator;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.function.Consumer;
import java.util.function.LongSupplier;
import java.util.stream.LongStream;

/**
 * Stages chunks straight into regions and emits a claim when an update is whole and sound.
 *
 * <p>Only a member of the job may stage anything, which the token beside each chunk proves. A
 * region of full length is reserved at an update's first chunk, one for each member, so an update
 * that has begun can be finished. Chunks of updates for which there is no room wait, not done,
 * which holds the transport back; when too many wait, the update is deferred: its chunks are let
 * go, and when there is room again, first come, first served, its region is reserved and its
 * trainer is asked to send it again. Where room is short, an update of which nothing new comes
 * gives its region up and is deferred too, before all others; the next time it keeps its region. So
 * an update that has room can finish, and one that has none gets some. Not thread-safe.
 */
final class ChunkAssembler implements AutoCloseable {

    /** Time that a trainer has to begin a sending that it was asked for. */
    private static final Duration LONGEST_EXPECTATION = Duration.ofSeconds(30);

    private static final long TRIM_NANOS = 1_000_000_000;

    private final ChunkGate gate;
    private final ModelLayout model;
    private final StagingRegions regions;
    private final Limits limits;
    private final LongSupplier nanoTime;
    private final Map<String, Assembly> assemblies = new HashMap<>();

    /** The last update of each trainer, to tell a repeated chunk from a new sending. */
    private final Map<String, Ended> ended = new Remembered<>();

    private final Deque<Chunk> waiting = new ArrayDeque<>();
    private final DeferredUpdates deferred = new DeferredUpdates();
    private long trimmed;

    /**
     * What is held, and for how long.
     *
     * @param maxWaiting chunks that may wait for room
     * @param idle time without anything new after which an unfinished update is thrown away
     * @param grace the same time where room is short
     * @param deadline time after which an unfinished update is thrown away in any case
     * @param ordered whether the chunks of a sending come in order, and from the first; those of
     *     which the first is missing are then leftovers of what was dealt with
     */
    record Limits(
            int maxWaiting, Duration idle, Duration grace, Duration deadline, boolean ordered) {}

    /**
     * @param job only updates for this job are taken
     * @param run whose tokens are taken
     * @param model what updates must look like
     * @param regions where they are staged
     * @param nanoTime the clock
     */
    ChunkAssembler(
            String job,
            Run run,
            ModelLayout model,
            StagingRegions regions,
            Limits limits,
            LongSupplier nanoTime) {
        this.gate = new ChunkGate(job, run, nanoTime);
        this.model = model;
        this.regions = regions;
        this.limits = limits;
        this.nanoTime = nanoTime;
    }

    /** Takes a chunk; emits a claim or a rejection, if that follows from it. */
    void accept(Message message, Consumer<TrainerEvent> out) throws IOException {
        Optional<Chunk> chunk = gate.admit(message, out);
        if (chunk.isEmpty()) {
            message.done().run();
        } else if (!stage(chunk.get(), out)) {
            if (waiting.size() < limits.maxWaiting()) {
                waiting.add(chunk.get());
            } else {
                defer(chunk.get());
            }
        }
    }

    private void defer(Chunk chunk) {
        deferred.add(chunk.header(), chunk.message());
        chunk.message().done().run();
        // All of it will come again.
        waiting.removeIf(
                other -> {
                    boolean same = other.header().trainer().equals(chunk.header().trainer());
                    if (same) {
                        other.message().done().run();
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
            if (now - assembly.progressed() > patience(assembly).toNanos()
                    || now - assembly.began() > limits.deadline().toNanos()) {
                regions.giveBack(assembly.region());
                all.remove();
            }
        }
        for (int i = waiting.size(); i > 0; i--) {
            Chunk chunk = waiting.remove();
            if (!stage(chunk, event -> out.accept(chunk.message().lane(), event))) {
                waiting.add(chunk);
            }
        }
        if (now - trimmed > TRIM_NANOS) {
            trimmed = now;
            regions.trim();
            if (regions.full(model.wholeUpdateBytes())) {
                evictIdle(now);
            }
        }
        Optional<Deferred> next = deferred.first();
        while (next.isPresent() && reserve(next.get()).isPresent()) {
            ChunkHeader header = next.get().header();
            out.accept(
                    next.get().message().lane(),
                    new TrainerEvent.CapacityFreed(
                            header.trainer(), header.id(), header.attempt()));
            deferred.removeFirst();
            next = deferred.first();
        }
    }

    private Optional<Assembly> reserve(Deferred update) throws IOException {
        return reserve(update.header(), update.message(), update.spared());
    }

    private Duration patience(Assembly assembly) {
        boolean shorter = LONGEST_EXPECTATION.compareTo(limits.idle()) < 0;
        return assembly.expected() && shorter ? LONGEST_EXPECTATION : limits.idle();
    }

    /**
     * The update of which nothing new has come for longest makes room for those that wait, and has
     * the room after theirs. It may be that of a trainer that is slow: the next time it is spared.
     */
    private void evictIdle(long now) {
        assemblies.values().stream()
                .filter(a -> !a.spared() && now - a.progressed() > limits.grace().toNanos())
                .min(Comparator.comparingLong(Assembly::progressed))
                .ifPresent(
                        idle -> {
                            assemblies.remove(idle.header().trainer());
                            regions.giveBack(idle.region());
                            deferred.addSecond(idle);
                        });
    }

    /** The first position of a lane whose chunk is not dealt with. */
    OptionalLong neededFrom(int lane) {
        return LongStream.concat(
                        assemblies.values().stream()
                                .filter(a -> a.lane() == lane)
                                .mapToLong(Assembly::position),
                        waiting.stream()
                                .map(Chunk::message)
                                .filter(w -> w.lane() == lane)
                                .mapToLong(Message::position))
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
    private boolean stage(Chunk chunk, Consumer<TrainerEvent> out) throws IOException {
        ChunkHeader header = chunk.header();
        Message message = chunk.message();
        try {
            if (restOfResend(header) || leftover(header) || letGo(header)) {
                message.done().run();
                return true;
            }
            Optional<Assembly> assembly = assembly(header, message);
            if (assembly.isEmpty()) {
                return false;
            }
            assembly.get().write(header, message, nanoTime.getAsLong());
            if (assembly.get().complete()) {
                end(header, assembly.get());
                out.accept(new TrainerEvent.UpdateStaged(finish(assembly.get())));
            }
        } catch (RejectedException e) {
            gate.reject(message, chunk.sender(), Optional.of(header), e, out);
        }
        message.done().run();
        return true;
    }

    private Claim finish(Assembly assembly) {
        try {
            return assembly.finish(model);
        } catch (RuntimeException e) {
            regions.giveBack(assembly.region());
            throw e;
        }
    }

    private Optional<Assembly> assembly(ChunkHeader header, Message chunk) throws IOException {
        Ended before = ended.get(header.trainer());
        if (before != null && before.id().equals(header.id())) {
            if (before.attempt() == header.attempt()) {
                throw new RejectedException(
                        RejectReason.CHUNK_DUPLICATE,
                        "its update has been dealt with; a resend needs a new attempt");
            }
            rejectSuperseded(before.superseded(), header);
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
            rejectSuperseded(current.superseded(), header);
            if (current.header().sameUpdate(header)) {
                // Its trainer lost patience; were its progress thrown away, it could starve.
                current.resend(header);
                return Optional.of(current);
            }
        }
        return begin(header, chunk);
    }

    /** Attempts tell sendings apart; they need not rise, since clocks may be set back. */
    private static void rejectSuperseded(Superseded superseded, ChunkHeader header) {
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
            ended.put(header.trainer(), Ended.of(header));
            throw new RejectedException(
                    RejectReason.TOO_LARGE,
                    "it has %d bytes, this model's updates have at most %d"
                            .formatted(length, most));
        }
        if (length < model.minUpdateBytes()) {
            ended.put(header.trainer(), Ended.of(header));
            throw new RejectedException(
                    RejectReason.WRONG_SHAPE,
                    "it has %d bytes, the tensors of this model's updates have %d"
                            .formatted(length, model.minUpdateBytes()));
        }
        // Who came before and was deferred has the next room.
        boolean first = deferred.isEmpty() || assemblies.containsKey(header.trainer());
        return first ? reserve(header, chunk, false) : Optional.empty();
    }

    private Optional<Assembly> reserve(ChunkHeader header, Message chunk, boolean spared)
            throws IOException {
        Assembly before = assemblies.remove(header.trainer());
        if (before != null) {
            regions.giveBack(before.region());
        }
        Optional<OwnedRegion> region = regions.take(chunk.lane(), header.part().length());
        Optional<Assembly> assembly =
                region.map(r -> new Assembly(header, chunk, r, spared, nanoTime.getAsLong()));
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
                new Ended(header.id(), header.attempt(), assembly.resent(), assembly.superseded()));
    }

    /** In order, what does not begin with its first chunk was dealt with before a restore. */
    private boolean leftover(ChunkHeader header) {
        return limits.ordered()
                && header.part().chunk() > 0
                && !assemblies.containsKey(header.trainer())
                && deferred.of(header.trainer()).isEmpty()
                && waiting.stream().noneMatch(w -> w.header().trainer().equals(header.trainer()))
                && !ended.containsKey(header.trainer());
    }

    /** Whether it belongs to a deferred update, which will come again as a whole. */
    private boolean letGo(ChunkHeader header) {
        boolean mine =
                deferred.of(header.trainer())
                        .filter(before -> before.header().id().compareTo(header.id()) <= 0)
                        .isPresent();
        if (mine) {
            deferred.replace(header);
        }
        return mine;
    }

    /** A resend may be complete before its last chunk has come, and that is no mistake. */
    private boolean restOfResend(ChunkHeader header) {
        Ended before = ended.get(header.trainer());
        return before != null
                && before.resent()
                && before.id().equals(header.id())
                && before.attempt() == header.attempt();
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
