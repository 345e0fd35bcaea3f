// SPDX-License-Identifier: Apache-2.0

package io.tributary.shm.source;

import com.fasterxml.jackson.databind.JsonNode;
import io.tributary.memory.region.RegionDirectory;
import io.tributary.memory.region.RegionHeader;
import io.tributary.memory.region.RegionLayout.State;
import io.tributary.memory.region.RegionMappings;
import io.tributary.memory.region.TensorFile;
import io.tributary.protocol.Json;
import io.tributary.protocol.RejectReason;
import io.tributary.protocol.RejectedException;
import io.tributary.protocol.message.DeadLetter;
import io.tributary.protocol.message.Names;
import io.tributary.protocol.message.PayloadRef;
import io.tributary.protocol.message.RoundId;
import io.tributary.protocol.message.TrainerEvent;
import io.tributary.protocol.message.UpdateDescription;
import io.tributary.protocol.tensor.ModelLayout;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/**
 * Looks at regions and says what has arrived. An update is checked once in each generation of its
 * region; asked again, the same claim is made again. Not thread-safe.
 */
final class UpdateInspector {

    private final String job;
    private final ModelLayout model;
    private final boolean scanAll;
    private final Map<Path, Seen> seen = new HashMap<>();

    /**
     * What a file was found to be.
     *
     * @param generation of its region; 0 where it was damaged
     */
    private record Seen(int generation, TrainerEvent event) {}

    /**
     * @param scanAll whether to look at all values, whatever their writers promise
     */
    UpdateInspector(String job, ModelLayout model, boolean scanAll) {
        this.scanAll = scanAll;
        this.job = job;
        this.model = model;
    }

    /**
     * Looks at a file.
     *
     * @param rung whether its trainer asks for an answer, even if it has been looked at before
     * @return what has arrived; empty where nothing has
     */
    Optional<TrainerEvent> inspect(Path file, boolean rung) {
        RegionHeader header;
        try {
            header = RegionHeader.read(file);
        } catch (RejectedException e) {
            return damaged(file, e);
        }
        if (header.state() != State.READY) {
            return Optional.empty();
        }
        Seen before = seen.get(file);
        if (before != null && before.generation() == header.generation()) {
            if (!answered(before.event()) && !header.owner().alive(file)) {
                // Nobody is left who could want it.
                RegionDirectory.release(header.payload(file));
            }
            return rung && answered(before.event())
                    ? Optional.of(before.event())
                    : Optional.empty();
        }
        TrainerEvent event = check(file, header);
        seen.put(file, new Seen(header.generation(), event));
        return Optional.of(event);
    }

    /** To ask again for what cannot be answered is vain, and says nothing new. */
    private static boolean answered(TrainerEvent event) {
        return !(event instanceof TrainerEvent.InputRejected rejected) || rejected.answer();
    }

    /** Bytes of the payload behind an event. */
    static long bytes(TrainerEvent event) {
        return event instanceof TrainerEvent.UpdateStaged staged
                ? staged.claim().payload().length()
                : 0;
    }

    private Optional<TrainerEvent> damaged(Path file, RejectedException e) {
        if (e.reason() == RejectReason.PAYLOAD_LOST) {
            // Released since it was listed, or announced and never there.
            return Optional.empty();
        }
        if (seen.containsKey(file)) {
            return Optional.empty();
        }
        TrainerEvent rejected =
                new TrainerEvent.InputRejected(
                        new DeadLetter(file.toString(), "", 0, 0, e.reason(), e.getMessage()));
        seen.put(file, new Seen(0, rejected));
        return Optional.of(rejected);
    }

    private TrainerEvent check(Path file, RegionHeader header) {
        PayloadRef payload = header.payload(file);
        UpdateDescription description;
        try {
            description = UpdateDescription.decode(header.description());
            if (!description.job().equals(job)) {
                throw new RejectedException(
                        RejectReason.WRONG_JOB,
                        "it is for job '%s', this is '%s'".formatted(description.job(), job));
            }
            if (payload.length() > model.maxUpdateBytes()) {
                throw new RejectedException(
                        RejectReason.TOO_LARGE,
                        "it has %d bytes, an update of this model has at most %d"
                                .formatted(payload.length(), model.maxUpdateBytes()));
            }
            try (TensorFile tensors =
                    TensorFile.open(
                            RegionMappings.acquire(payload),
                            payload.length(),
                            model.maxUpdateHeaderBytes())) {
                boolean scan = scanAll || !header.finite() || header.crc32c().isEmpty();
                int crc32c = scan ? scan(file, tensors, header) : promised(tensors, header);
                return new TrainerEvent.UpdateStaged(description.claim(crc32c, scan, payload));
            }
        } catch (RejectedException e) {
            Author author = Author.of(header.description());
            if (!author.trainer().isEmpty()) {
                // Of one that nobody is told of it stays: released, it would be sent for ever.
                RegionDirectory.release(payload);
            }
            return rejection(file, author, e);
        }
    }

    private int scan(Path file, TensorFile tensors, RegionHeader header) {
        long faults = RegionMappings.faults();
        int crc32c = tensors.check(model, header.crc32c());
        if (RegionMappings.faults() > faults && RegionMappings.damaged(tensors.mapped())) {
            throw new RejectedException(
                    RejectReason.PAYLOAD_LOST,
                    "%s was truncated while it was read".formatted(file));
        }
        return crc32c;
    }

    /** The fold reads the values anyway, and sees whether the promise was kept. */
    private int promised(TensorFile tensors, RegionHeader header) {
        model.check(tensors.header());
        return header.crc32c().getAsInt();
    }

    /**
     * Who says that an update is its own, read for itself: a description that is otherwise wrong is
     * still somebody's.
     *
     * @param trainer who; empty where that cannot be told
     * @param id for which round; zeros where that cannot be told
     * @param attempt the sending; 0 where that cannot be told
     */
    private record Author(String trainer, RoundId id, long attempt) {

        private static final Author NOBODY = new Author("", new RoundId(0, 0), 0);

        static Author of(String description) {
            try {
                JsonNode json = Json.tree(description.getBytes(StandardCharsets.UTF_8));
                return new Author(
                        Names.check("trainer", json.path("trainer").asText()),
                        new RoundId(json.path("round").asInt(), json.path("epoch").asLong()),
                        json.path("attempt").asLong());
            } catch (RejectedException e) {
                return NOBODY;
            }
        }
    }

    private static TrainerEvent rejection(Path file, Author author, RejectedException e) {
        String about =
                author.trainer().isEmpty()
                        ? "region " + file
                        : "update from trainer %s for round %s"
                                .formatted(author.trainer(), author.id());
        return new TrainerEvent.InputRejected(
                new DeadLetter(
                        file.toString(),
                        author.trainer(),
                        author.id().round(),
                        author.id().epoch(),
                        e.reason(),
                        about + ": " + e.getMessage()),
                !author.trainer().isEmpty(),
                author.attempt());
    }

    /** Forgets files that are not among those that are there. */
    void retain(Set<Path> there) {
        seen.keySet().retainAll(there);
    }
}
