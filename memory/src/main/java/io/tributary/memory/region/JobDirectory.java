// SPDX-License-Identifier: Apache-2.0

package io.tributary.memory.region;

import io.tributary.memory.os.Descriptors;
import io.tributary.memory.region.RegionLayout.State;
import io.tributary.protocol.Json;
import io.tributary.protocol.RejectReason;
import io.tributary.protocol.RejectedException;
import io.tributary.protocol.message.Claim;
import io.tributary.protocol.message.Names;
import io.tributary.protocol.message.RoundId;
import io.tributary.protocol.message.UpdateDescription;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.UUID;
import java.util.stream.Stream;

/**
 * Where the things of one job lie below the region directory. What is small is JSON in a file that
 * is replaced as a whole; what is large is a region.
 *
 * <pre>
 * JOB/updates/LANE-UUID.region    updates that colocated trainers have written
 * JOB/staged-TRANSPORT/LANE-UUID.region   updates that came in chunks over a transport
 * JOB/partials/UUID.region        partial sums on their way up the tree
 * JOB/models/RUN_ROUND.EPOCH.region   global models
 * JOB/trainers/TRAINER.json       what a colocated trainer says of itself
 * JOB/receipts/TRAINER.json       the newest answers to it
 * JOB/evaluations/TRAINER.json    the newest word of an evaluator, or of a trainer that was asked, about a model
 * JOB/round.json                  the round plan
 * JOB/job.json                    the quota
 * JOB/status.jsonl, models.jsonl, dead-letters.jsonl   what people and tools follow; .1: what was before
 * </pre>
 *
 * @param path the job's directory
 * @param updatesIn the directory in it with the updates that are looked at
 */
public record JobDirectory(Path path, String updatesIn) {

    private static final String UPDATES = "updates";

    /** A plan for a hundred thousand trainers has a tenth of it. */
    private static final int MAX_JSON_BYTES = 1 << 27;

    private static final int MAX_SMALL_JSON_BYTES = 1 << 16;

    /** The directory of {@code job} below {@code root}. */
    public static JobDirectory of(Path root, String job) {
        return new JobDirectory(root.toAbsolutePath().resolve(Names.check("job", job)), UPDATES);
    }

    /**
     * The same with the updates that came in chunks over a transport. Each transport of a job has
     * its own, since its source claims what is there after a restore, and nobody else may.
     */
    public JobDirectory staged(String transport) {
        return new JobDirectory(path, "staged-" + transport);
    }

    /** The job's regions. */
    public RegionDirectory regions(long quotaBytes) {
        return new RegionDirectory(path, quotaBytes);
    }

    /** A name for a region with an update that a colocated trainer of {@code lane} writes. */
    public static String updateName(int lane, UUID id) {
        return name(UPDATES, lane, id);
    }

    /** A name for a region with an update that comes by {@code lane}. */
    public String nameIn(int lane, UUID id) {
        return name(updatesIn, lane, id);
    }

    private static String name(String directory, int lane, UUID id) {
        return "%s/%02d-%s".formatted(directory, lane, id);
    }

    /** The region with a model that a run has published. */
    public static String modelName(String run, RoundId model) {
        return "models/%s_%s".formatted(Names.check("run", run), model);
    }

    /** The file of a model's region. */
    public Path model(String run, RoundId model) {
        return path.resolve(modelName(run, model) + RegionDirectory.SUFFIX);
    }

    /** The file of an update's region. */
    public Path update(int lane, UUID id) {
        return path.resolve(updateName(lane, id) + RegionDirectory.SUFFIX);
    }

    /** Regions with updates of one lane, in any state. */
    public List<Path> updates(int lane) {
        String prefix = "%02d-".formatted(lane);
        return updates().stream()
                .filter(f -> f.getFileName().toString().startsWith(prefix))
                .toList();
    }

    /** Regions with updates, in any state. */
    public List<Path> updates() {
        return list(path.resolve(updatesIn)).stream()
                .filter(f -> f.toString().endsWith(RegionDirectory.SUFFIX))
                .toList();
    }

    /** The claim that a staged update's header makes; empty where it is not READY and whole. */
    public static Optional<Claim> claim(Path update) {
        RegionHeader header = RegionHeader.read(update);
        return header.state() == State.READY && header.finite() && header.crc32c().isPresent()
                ? Optional.of(
                        UpdateDescription.decode(header.description())
                                .claim(header.crc32c().getAsInt(), true, header.payload(update)))
                : Optional.empty();
    }

    /** Gives back what an earlier run of the job left of a lane. */
    public void discard(int lane) {
        for (Path file : updates(lane)) {
            try {
                RegionHeader header = RegionHeader.read(file);
                // What a trainer is writing is its own affair.
                if (header.state() != State.WRITING || !header.ownerTakesBack()) {
                    RegionDirectory.release(header.payload(file));
                }
            } catch (RejectedException e) {
                RegionFiles.deleteDamaged(file, e);
            }
        }
    }

    /** Removes what readers of the lane that are no more were staging. */
    public void discardUnfinished(int lane) {
        for (Path file : updates(lane)) {
            try {
                if (RegionHeader.read(file).state() != State.READY) {
                    RegionDirectory.delete(file);
                }
            } catch (RejectedException e) {
                RegionFiles.deleteDamaged(file, e);
            }
        }
    }

    /** Removes what processes that are no more were staging, from whichever lane. */
    public void discardOrphans() {
        for (Path file : updates()) {
            try {
                RegionHeader header = RegionHeader.read(file);
                if (header.state() != State.READY && !header.owner().alive(file)) {
                    RegionDirectory.delete(file);
                }
            } catch (RejectedException e) {
                // Somebody is just making or deleting it.
            }
        }
    }

    /** What a trainer says of itself. */
    public Path trainer(String trainer) {
        return path.resolve("trainers").resolve(trainer + ".json");
    }

    /** What a trainer, or an evaluator, has found out about a model. */
    public Path evaluation(String trainer) {
        return path.resolve("evaluations").resolve(trainer + ".json");
    }

    /** All that trainers say of themselves. */
    public List<Path> trainers() {
        return json("trainers");
    }

    /** The newest word of each evaluator. */
    public List<Path> evaluations() {
        return json("evaluations");
    }

    private List<Path> json(String directory) {
        return list(path.resolve(directory)).stream()
                .filter(f -> f.toString().endsWith(".json"))
                .toList();
    }

    /** The newest answers to a trainer. */
    public Path receipts(String trainer) {
        return path.resolve("receipts").resolve(trainer + ".json");
    }

    /** Bound for all regions of the job, as the job says; half the file system where it has not. */
    public long quotaBytes() {
        return readSmall(path.resolve("job.json"), Settings.class)
                .map(Settings::quotaBytes)
                .orElseGet(this::halfTheFileSystem);
    }

    /** Says what the bound is. */
    public void quotaBytes(long bytes) {
        replace(path.resolve("job.json"), new Settings(bytes, Owner.self(path)));
    }

    private record Settings(long quotaBytes, Owner owner) {}

    /** Whether a region is an update or a model of a job that lives, and so may still be wanted. */
    static boolean mayWant(Path region) {
        Path directory = region.getParent();
        if (directory.endsWith("partials")) {
            return false;
        }
        try {
            Path file = directory.resolveSibling("job.json");
            return readSmall(file, Settings.class)
                    .filter(settings -> settings.owner().alive(file))
                    .isPresent();
        } catch (RejectedException e) {
            // What cannot be read says nothing.
            return true;
        }
    }

    private long halfTheFileSystem() {
        try {
            return Files.getFileStore(RegionDirectory.create(path)).getTotalSpace() / 2;
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** The round plan. */
    public Path round() {
        return path.resolve("round.json");
    }

    /** A line for each change of the round. */
    public Path status() {
        return path.resolve("status.jsonl");
    }

    /** A line for each model that was published. */
    public Path modelLog() {
        return path.resolve("models.jsonl");
    }

    /** A line for each input that was rejected. */
    public Path deadLetters() {
        return path.resolve("dead-letters.jsonl");
    }

    private static List<Path> list(Path directory) {
        try (Stream<Path> files = Files.list(directory)) {
            return files.toList();
        } catch (NoSuchFileException e) {
            return List.of();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Replaces a file's contents as a whole; readers see the old or the new. */
    public static void replace(Path file, Object value) {
        try {
            RegionDirectory.create(file.getParent());
            Path next =
                    file.resolveSibling(".%s.%s".formatted(file.getFileName(), UUID.randomUUID()));
            try (FileChannel channel = Descriptors.create(next, TrustedDirectory.mode(next))) {
                RegionFiles.write(channel, ByteBuffer.wrap(Json.encode(value)), 0);
            }
            Files.move(next, file, StandardCopyOption.ATOMIC_MOVE);
        } catch (IOException e) {
            throw new UncheckedIOException("%s cannot be written".formatted(file), e);
        }
    }

    /**
     * Reads a file that {@link #replace} writes; empty when it is not there.
     *
     * @throws RejectedException MALFORMED, naming the file; also for what cannot be one
     */
    public static <T> Optional<T> read(Path file, Class<T> type) {
        return read(file, type, MAX_JSON_BYTES);
    }

    /** The same for what says little. */
    public static <T> Optional<T> readSmall(Path file, Class<T> type) {
        return read(file, type, MAX_SMALL_JSON_BYTES);
    }

    private static <T> Optional<T> read(Path file, Class<T> type, int maxBytes) {
        try {
            Optional<byte[]> json = Descriptors.read(file, maxBytes);
            return json.isPresent() ? Optional.of(Json.decode(json.get(), type)) : Optional.empty();
        } catch (RejectedException e) {
            throw new RejectedException(e.reason(), file + ": " + e.getMessage());
        } catch (IOException e) {
            throw new RejectedException(RejectReason.MALFORMED, e.getMessage());
        }
    }

    private static FileChannel open(Path file) throws IOException {
        try {
            return FileChannel.open(
                    file, Set.of(StandardOpenOption.APPEND, LinkOption.NOFOLLOW_LINKS));
        } catch (NoSuchFileException e) {
            return Descriptors.create(file, TrustedDirectory.mode(file));
        }
    }

    /** Adds a line to a file; where it would get longer than that, to the next one of its name. */
    public static long append(Path file, Object value, long maxBytes) {
        try {
            if (Files.exists(file) && Files.size(file) > maxBytes) {
                if (Files.size(file) > 2 * maxBytes) {
                    // Of a time without bounds, or of larger ones.
                    Files.delete(file);
                    Files.deleteIfExists(former(file));
                } else {
                    Files.move(file, former(file), StandardCopyOption.ATOMIC_MOVE);
                }
            }
        } catch (IOException e) {
            throw new UncheckedIOException("%s cannot be put aside".formatted(file), e);
        }
        return append(file, value);
    }

    /** Where the lines are that came before those of a file; those before them are gone. */
    public static Path former(Path file) {
        return file.resolveSibling(file.getFileName() + ".1");
    }

    /**
     * Adds a line to a file.
     *
     * @return bytes added
     */
    public static long append(Path file, Object value) {
        try {
            RegionDirectory.create(file.getParent());
            byte[] json = Json.encode(value);
            byte[] line = Arrays.copyOf(json, json.length + 1);
            line[json.length] = '\n';
            try (FileChannel channel = open(file)) {
                channel.write(ByteBuffer.wrap(line));
            }
            return line.length;
        } catch (IOException e) {
            throw new UncheckedIOException("%s cannot be written".formatted(file), e);
        }
    }
}
