// SPDX-License-Identifier: Apache-2.0

package io.tributary.shm.source;

import com.fasterxml.jackson.databind.JsonNode;
import io.tributary.memory.mailbox.EndpointId;
import io.tributary.memory.region.JobDirectory;
import io.tributary.memory.region.TrainerPresence;
import io.tributary.protocol.RejectedException;
import io.tributary.protocol.message.ControlMessage;
import io.tributary.protocol.message.ControlMessage.Type;
import io.tributary.protocol.message.DeadLetter;
import io.tributary.protocol.message.Names;
import io.tributary.protocol.message.Topics;
import io.tributary.protocol.message.TrainerEvent;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.Consumer;

/**
 * The colocated trainers of some lanes. A trainer is there as long as its file is and the process
 * that wrote it lives. Not thread-safe.
 */
final class TrainerRegister {

    private final String job;
    private final JobDirectory directory;
    private final Map<String, Seen> present = new HashMap<>();
    private final boolean onlyHost;

    /**
     * A trainer that is there.
     *
     * @param presence what it says of itself
     * @param file which file says so: one that is written again is another
     */
    private record Seen(TrainerPresence presence, String file) {}

    /** Of each file that cannot be read, the client that was told so. */
    private final Map<Path, String> unreadable = new HashMap<>();

    /**
     * @param onlyHost whether all trainers of the job are on this host
     */
    TrainerRegister(String job, JobDirectory directory, boolean onlyHost) {
        this.onlyHost = onlyHost;
        this.job = job;
        this.directory = directory;
    }

    /**
     * Tells which trainers have come, which are still there, and which have gone.
     *
     * @param lanes whose trainers
     * @param asking trainers that want to hear once more that they have joined
     */
    void scan(Set<Integer> lanes, Set<EndpointId> asking, Consumer<TrainerEvent> out) {
        Set<String> found = new HashSet<>();
        List<Path> files = directory.trainers();
        unreadable.keySet().retainAll(new HashSet<>(files));
        for (Path file : files) {
            String trainer = file.getFileName().toString().replaceFirst("\\.json$", "");
            if (lanes.contains(Topics.lane(trainer))) {
                // Looked at before it is read: if it is replaced in between, it is read once more.
                String which = which(file);
                read(file, trainer, out)
                        .filter(presence -> alive(file, presence))
                        .ifPresent(
                                presence -> {
                                    found.add(trainer);
                                    announce(new Seen(presence, which), asking, out);
                                });
            }
        }
        for (String trainer : Set.copyOf(present.keySet())) {
            if (!found.contains(trainer)) {
                out.accept(control(present.remove(trainer).presence(), Type.LEAVE));
                delete(directory.receipts(trainer));
                delete(directory.evaluation(trainer));
            }
        }
    }

    private void announce(Seen seen, Set<EndpointId> asking, Consumer<TrainerEvent> out) {
        TrainerPresence presence = seen.presence();
        String trainer = presence.trainer();
        Seen before = present.put(trainer, seen);
        boolean same = before != null && before.presence().instance().equals(presence.instance());
        if (before != null && !same) {
            // Its file was taken over, so the one before has ended.
            out.accept(control(before.presence(), Type.LEAVE));
        }
        boolean asks =
                asking.contains(EndpointId.trainer(job, trainer))
                        || same && !before.file().equals(seen.file());
        out.accept(control(presence, same && !asks ? Type.HEARTBEAT : Type.JOIN));
    }

    /** Which file it is: one that is written anew is another. */
    static String which(Path file) {
        try {
            BasicFileAttributes found = Files.readAttributes(file, BasicFileAttributes.class);
            return found.fileKey() + " " + found.lastModifiedTime();
        } catch (IOException e) {
            // It has gone since the directory was listed.
            return "";
        }
    }

    private Optional<TrainerPresence> read(Path file, String trainer, Consumer<TrainerEvent> out) {
        try {
            Optional<TrainerPresence> presence =
                    JobDirectory.readSmall(file, TrainerPresence.class);
            unreadable.remove(file);
            return presence.filter(p -> p.trainer().equals(trainer));
        } catch (RejectedException e) {
            String instance = instance(file);
            if (!instance.equals(unreadable.put(file, instance))) {
                // A client that asks for what this job does not have is told, or would ask for
                // ever.
                out.accept(
                        new TrainerEvent.InputRejected(
                                new DeadLetter(
                                        file.toString(),
                                        instance.isEmpty() ? "" : trainer,
                                        0,
                                        0,
                                        e.reason(),
                                        e.getMessage()),
                                false,
                                0,
                                instance));
            }
            return Optional.empty();
        }
    }

    /** The client that a file is of, as far as it says so. */
    private static String instance(Path file) {
        try {
            return JobDirectory.readSmall(file, JsonNode.class)
                    .map(json -> Names.check("instance", json.path("instance").asText()))
                    .orElse("");
        } catch (RejectedException e) {
            return "";
        }
    }

    private static boolean alive(Path file, TrainerPresence presence) {
        boolean alive = presence.owner().alive(file);
        if (!alive) {
            delete(file);
        }
        return alive;
    }

    private static void delete(Path file) {
        try {
            Files.deleteIfExists(file);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private TrainerEvent control(TrainerPresence presence, Type type) {
        // The writer of the file has checked that the client before it has ended.
        return new TrainerEvent.Control(
                new ControlMessage(
                        type, job, presence.trainer(), presence.instance(), presence.group()),
                onlyHost);
    }
}
