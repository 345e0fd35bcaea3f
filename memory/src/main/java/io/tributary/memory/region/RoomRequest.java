// SPDX-License-Identifier: Apache-2.0

package io.tributary.memory.region;

import io.tributary.protocol.RejectedException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.Optional;
import java.util.UUID;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Says in a job's directory that its process waits for room, as long as it is not closed. Whoever
 * keeps a region only because fresh memory is slow then gives it up. Thread-safe.
 */
public final class RoomRequest implements AutoCloseable {

    private static final Logger LOG = LoggerFactory.getLogger(RoomRequest.class);
    private static final String DIRECTORY = "wanted";

    private final JobDirectory job;
    private final Path file;

    /** Asks for room. */
    public RoomRequest(JobDirectory job) {
        this.job = job;
        this.file = job.path().resolve(DIRECTORY).resolve(UUID.randomUUID() + ".json");
        repeat();
    }

    private record Waiting(Owner owner) {}

    /**
     * Asks once more, if the request is not there any more, or there was no room even for it. Where
     * it cannot be made, its process waits all the same, only longer.
     */
    public void repeat() {
        try {
            if (!Files.exists(file)) {
                JobDirectory.replace(file, new Waiting(Owner.self(job.path())));
            }
        } catch (UncheckedIOException e) {
            LOG.debug("no request for room can be made: {}", e.getMessage());
        }
    }

    /** Whether a living process waits for room. */
    public static boolean pending(JobDirectory job) {
        try (DirectoryStream<Path> requests =
                Files.newDirectoryStream(job.path().resolve(DIRECTORY), "*.json")) {
            for (Path request : requests) {
                if (alive(request)) {
                    return true;
                }
            }
            return false;
        } catch (NoSuchFileException expected) {
            return false;
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static boolean alive(Path request) throws IOException {
        try {
            Optional<Waiting> waiting = JobDirectory.readSmall(request, Waiting.class);
            boolean alive = waiting.filter(w -> w.owner().alive(request)).isPresent();
            if (waiting.isPresent() && !alive) {
                Files.deleteIfExists(request);
            }
            return alive;
        } catch (RejectedException e) {
            // It cannot be read, now or ever.
            return false;
        }
    }

    @Override
    public void close() {
        try {
            Files.deleteIfExists(file);
        } catch (IOException e) {
            LOG.debug("a request for room stays until its process ends: {}", e.getMessage());
        }
    }
}
