// SPDX-License-Identifier: Apache-2.0

package io.tributary.shm.sink;

import io.tributary.memory.region.JobDirectory;
import io.tributary.memory.region.RegionDirectory;
import io.tributary.memory.region.RegionHeader;
import io.tributary.memory.region.RegionLayout.State;
import io.tributary.memory.region.RegionPool;
import io.tributary.memory.region.RegionWriter;
import io.tributary.memory.region.RoomRequest;
import io.tributary.protocol.Json;
import io.tributary.protocol.RejectedException;
import io.tributary.protocol.message.ModelDescription;
import io.tributary.shm.sink.ShmEgresses.Of;
import io.tributary.sources.base.sink.Egress;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.function.LongSupplier;

/**
 * Gives out models, each a region that trainers map.
 *
 * @param <M> the models' type
 */
final class ModelEgress<M> implements Egress<M> {

    /** How long a model may be without room before that is an error. */
    static final Duration PATIENCE = Duration.ofMinutes(1);

    private final JobDirectory files;
    private final long quotaBytes;
    private final long maxLogBytes;

    private final Of<M, ModelDescription> description;
    private final Of<M, String> file;
    private final RegionDirectory room;
    private final Deque<Path> published = new ArrayDeque<>();
    private final Bell bell;
    private final LongSupplier nanoTime;

    /**
     * How trainers hear of a model.
     *
     * @param ring rings for all of them
     * @param close ends it
     */
    record Bell(Runnable ring, Runnable close) {}

    /** Stands as long as there is no room for the newest model. */
    private Optional<RoomRequest> request = Optional.empty();

    private long requestedNanos;

    ModelEgress(
            ShmEgresses of, Of<M, ModelDescription> description, Of<M, String> file, Bell bell) {
        this(of, description, file, bell, System::nanoTime);
    }

    /** The same with a clock of one's own. */
    ModelEgress(
            ShmEgresses of,
            Of<M, ModelDescription> description,
            Of<M, String> file,
            Bell bell,
            LongSupplier nanoTime) {
        this.bell = bell;
        this.nanoTime = nanoTime;
        this.files = of.files();
        this.quotaBytes = of.quotaBytes();
        this.maxLogBytes = of.maxLogBytes();
        this.room = files.regions(quotaBytes);
        this.description = description;
        this.file = file;
    }

    /**
     * Gives a model out, if there is room for it. If not, room is asked for, and the sink sends the
     * model again with its next checkpoint, because it is not {@link #there}.
     *
     * @throws IOException when there has been no room for {@link #PATIENCE}
     */
    @Override
    public long send(M model) throws IOException {
        ModelDescription described = description.apply(model);
        Path region = region(described);
        boolean news = !holds(region, described);
        if (news) {
            Files.deleteIfExists(region);
            if (!write(described, file.apply(model))) {
                return 0;
            }
        }
        requested(Optional.empty());
        published.remove(region);
        published.add(region);
        if (news) {
            JobDirectory.append(files.modelLog(), described, maxLogBytes);
            bell.ring().run();
        }
        keep(published, 2);
        return described.bytes();
    }

    private Path region(ModelDescription model) {
        return files.model(model.run(), model.id());
    }

    @Override
    public boolean there(M model) {
        ModelDescription described = description.apply(model);
        return holds(region(described), described);
    }

    /** Whether the region is that very model: one that was not finished is not. */
    private boolean holds(Path region, ModelDescription model) {
        try {
            RegionHeader header = RegionHeader.read(region);
            return header.state() == State.READY
                    && header.payloadLength() == model.bytes()
                    && header.crc32c().equals(OptionalInt.of(model.crc32c()));
        } catch (RejectedException e) {
            return false;
        }
    }

    /** Whether there was room. */
    private boolean write(ModelDescription model, String from) throws IOException {
        Optional<RegionWriter> room = copy(model, Path.of(from));
        if (room.isEmpty()) {
            return false;
        }
        RegionWriter writer = room.get();
        try (writer) {
            writer.publish(model.crc32c(), new String(Json.encode(model), StandardCharsets.UTF_8));
            return true;
        } catch (IOException | RuntimeException e) {
            writer.discard();
            throw e;
        }
    }

    /** Removes all models but the newest of those published. */
    private void keep(Deque<Path> newest, int count) throws IOException {
        while (newest.size() > count) {
            newest.remove();
        }
        for (Path old : RegionDirectory.list(files.path().resolve("models"))) {
            if (!newest.contains(old)) {
                Files.deleteIfExists(old);
            }
        }
    }

    private Optional<RegionWriter> copy(ModelDescription model, Path from) throws IOException {
        Optional<RegionWriter> writer = tryToCopy(model, from);
        if (writer.isEmpty()) {
            // The one that this replaces is still being trained on; those before are not. Giving
            // their memory back takes time, so where there is room it is done afterwards.
            keep(published, 1);
            writer = tryToCopy(model, from);
        }
        if (writer.isEmpty()) {
            askForRoom(model);
            RegionPool.trim(room);
            writer = tryToCopy(model, from);
        }
        return writer;
    }

    private Optional<RegionWriter> tryToCopy(ModelDescription model, Path from) throws IOException {
        return room.copy(JobDirectory.modelName(model.run(), model.id()), from, model.bytes());
    }

    private void askForRoom(ModelDescription model) throws IOException {
        if (request.isEmpty()) {
            requested(Optional.of(new RoomRequest(files)));
            requestedNanos = nanoTime.getAsLong();
        }
        request.get().repeat();
        if (nanoTime.getAsLong() - requestedNanos > PATIENCE.toNanos()) {
            throw new IOException(
                    "no room for model %s of %d bytes in %s within %d s; the quota is %d bytes, for all updates of a round and two models"
                            .formatted(
                                    model.id(),
                                    model.bytes(),
                                    files.path(),
                                    PATIENCE.toSeconds(),
                                    quotaBytes));
        }
    }

    private void requested(Optional<RoomRequest> next) {
        request.ifPresent(RoomRequest::close);
        request = next;
    }

    @Override
    public void close() {
        requested(Optional.empty());
        bell.close().run();
        // Models stay for the trainers that come back.
    }
}
