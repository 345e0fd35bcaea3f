// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.model;

import io.tributary.operators.types.StreamType;
import io.tributary.protocol.chunk.ChunkPart;
import io.tributary.protocol.message.ModelDescription;
import io.tributary.protocol.message.PayloadRef;
import io.tributary.protocol.message.RoundId;
import io.tributary.protocol.tensor.ModelLayout;
import io.tributary.shm.node.RegionAccess;
import io.tributary.shm.region.MappedFile;
import io.tributary.shm.region.RegionPool;
import java.io.IOException;
import java.io.Serializable;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.time.Instant;
import java.util.BitSet;
import java.util.List;
import java.util.Optional;
import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.streaming.api.functions.KeyedProcessFunction;
import org.apache.flink.util.Collector;

/**
 * Writes each shard of a new global model at its place in a file, and announces the file when all
 * are there. Keyed by round. A file appears under its name only when it is whole; a shard written
 * again after a restore writes the same bytes.
 */
public final class ModelPublisher extends KeyedProcessFunction<String, ModelShard, PublishedModel> {

    private static final long serialVersionUID = 1L;

    private final Target target;
    private final String job;
    private final ModelSpec model;

    private final RegionAccess.Place regions;

    /** At most one; unlike an Optional, a list can be shipped. */
    private final List<RegionPool.Place> shards;

    private transient RegionAccess access;
    private transient Optional<RegionPool> pool;
    private transient ModelLayout layout;
    private transient ValueState<Written> written;

    /** Where a round's model goes. */
    @FunctionalInterface
    public interface Target extends Serializable {
        /** The file for the model of {@code round}. */
        Path file(RoundId round);
    }

    /**
     * The shards of a round that are in its file.
     *
     * @param shards a bit set's words
     */
    public record Written(long[] shards) {}

    /**
     * @param job the job's name
     * @param model what the model looks like
     * @param target where models go
     * @param regions where regions are
     * @param shards where shards lie; without, they come through Flink's network
     */
    public ModelPublisher(
            String job,
            ModelSpec model,
            Target target,
            RegionAccess.Place regions,
            Optional<RegionPool.Place> shards) {
        this.regions = regions;
        this.shards = shards.stream().toList();
        this.job = job;
        this.model = model;
        this.target = target;
    }

    @Override
    public void open(OpenContext context) {
        layout = model.layout();
        access = regions.open();
        pool = shards.stream().findAny().map(RegionPool.Place::open);
        written =
                getRuntimeContext()
                        .getState(
                                new ValueStateDescriptor<>(
                                        "written", StreamType.json(Written.class)));
    }

    @Override
    public void processElement(ModelShard shard, Context context, Collector<PublishedModel> out)
            throws Exception {
        Path file = target.file(shard.round()).toAbsolutePath();
        Path part = file.resolveSibling(file.getFileName() + "." + shard.round() + ".part");
        Written before = written.value();
        BitSet shards = before == null ? new BitSet() : BitSet.valueOf(before.shards());
        if (shards.isEmpty()) {
            // Of a run that ended in the middle; its length may be another.
            Files.deleteIfExists(part);
        } else if (!Files.exists(part)) {
            // Restored to before the file was whole, which it became before the failure.
            Files.copy(file, part);
        }
        try (FileChannel channel =
                FileChannel.open(part, StandardOpenOption.CREATE, StandardOpenOption.WRITE)) {
            if (shards.isEmpty()) {
                write(channel, ByteBuffer.wrap(layout.header().bytes()), 0);
            }
            write(channel, shard);
        }
        shards.set(shard.shard());
        if (shards.cardinality() < layout.shards()) {
            written.update(new Written(shards.toLongArray()));
            return;
        }
        written.clear();
        Files.move(part, file, StandardCopyOption.ATOMIC_MOVE);
        out.collect(
                new PublishedModel(
                        describe(job, shard.round(), file, shard.lastUpdateMicros()),
                        file.toString()));
    }

    private void write(FileChannel channel, ModelShard shard) throws IOException {
        long offset = layout.fileOffset(shard.shard());
        if (shard.region().isEmpty()) {
            write(channel, ByteBuffer.wrap(shard.bytes()), offset);
            return;
        }
        int length = layout.shardBytes(shard.shard());
        access.consume(
                pool.orElseThrow(),
                shard.region().get(),
                memory -> write(channel, memory.slice(0, length), offset));
    }

    private static void write(FileChannel channel, ByteBuffer bytes, long offset)
            throws IOException {
        while (bytes.hasRemaining()) {
            channel.write(bytes, offset + bytes.position());
        }
    }

    @Override
    public void close() {
        if (pool != null) {
            pool.ifPresent(RegionPool::close);
        }
        if (access != null) {
            access.close();
        }
    }

    /** Describes a model file. */
    public static ModelDescription describe(
            String job, RoundId round, Path file, long lastUpdateMicros) throws IOException {
        long length = Files.size(file);
        try (MappedFile mapped = MappedFile.open(new PayloadRef(file.toString(), 0, length, 0))) {
            int crc32c = mapped.crc32c();
            Duration since =
                    Duration.between(
                            Instant.EPOCH.plusNanos(lastUpdateMicros * 1000), Instant.now());
            return new ModelDescription(
                    job,
                    round.round(),
                    round.epoch(),
                    length,
                    ChunkPart.MAX_CHUNK_BYTES,
                    crc32c,
                    lastUpdateMicros == 0 ? 0 : since.toNanos() / 1e6);
        }
    }
}
