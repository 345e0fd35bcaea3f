// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.model;

import io.tributary.memory.region.MappedFile;
import io.tributary.memory.region.RegionPool;
import io.tributary.node.PayloadStore;
import io.tributary.operators.clock.Clock;
import io.tributary.operators.types.StreamType;
import io.tributary.protocol.chunk.ChunkPart;
import io.tributary.protocol.message.ModelDescription;
import io.tributary.protocol.message.PayloadRef;
import io.tributary.protocol.message.RoundId;
import io.tributary.protocol.message.RoundLedger;
import io.tributary.protocol.tensor.ModelLayout;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.api.common.state.ListState;
import org.apache.flink.api.common.state.ListStateDescriptor;
import org.apache.flink.runtime.state.FunctionInitializationContext;
import org.apache.flink.runtime.state.FunctionSnapshotContext;
import org.apache.flink.streaming.api.checkpoint.CheckpointedFunction;
import org.apache.flink.streaming.api.functions.co.CoProcessFunction;
import org.apache.flink.util.Collector;
import org.apache.flink.util.OutputTag;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Writes each shard of a new global model at its place in a file, and announces the file when all
 * are there, with the ledger of its updates. A model that is not finite is rejected as a whole:
 * then the former one is announced once more, under the new version. Parallelism 1.
 *
 * <p>Files are not trusted to outlive a failure before they are on the disk. A checkpoint holds the
 * shards of a model that is not whole, so after a restore they are written again; and when a
 * checkpoint holds that a model is whole, the model has been forced to the disk.
 */
public final class ModelPublisher extends CoProcessFunction<ModelShard, LedgerPart, PublishedModel>
        implements CheckpointedFunction {

    /** Which updates are in a model, or were rejected with it. */
    public static final OutputTag<RoundLedger> LEDGERS =
            new OutputTag<>("model-ledgers", StreamType.json(RoundLedger.class));

    private static final long serialVersionUID = 1L;
    private static final Logger LOG = LoggerFactory.getLogger(ModelPublisher.class);

    private final ModelStore models;
    private final String job;
    private final String run;
    private final ModelSpec model;
    private final PayloadStore.Place regions;
    private final Clock clock;

    /** At most one; unlike an Optional, a list can be shipped. */
    private final List<RegionPool.Place> shards;

    private transient PayloadStore access;
    private transient Optional<RegionPool> pool;
    private transient ModelLayout layout;
    private transient Map<RoundId, ModelAssembly> assemblies;

    /** Whole, and not yet forced to the disk. */
    private transient List<RoundId> unforced;

    /** Parts of their ledgers are not yet forced to the disk. */
    private transient Set<RoundId> unforcedLedgers;

    private transient ListState<ModelShard> shardsHandle;
    private transient ListState<RoundLedger> ledgersHandle;

    /**
     * @param job the job's name
     * @param run the submission of it
     * @param model what the model looks like
     * @param models where models go
     * @param regions where regions are
     * @param shards where shards lie; without, they come through Flink's network
     * @param clock how old a model's last update is, to show to people
     */
    public ModelPublisher(
            String job,
            String run,
            ModelSpec model,
            ModelStore models,
            PayloadStore.Place regions,
            Optional<RegionPool.Place> shards,
            Clock clock) {
        this.clock = clock;
        this.regions = regions;
        this.shards = shards.stream().toList();
        this.job = job;
        this.run = run;
        this.model = model;
        this.models = models;
    }

    @Override
    public void initializeState(FunctionInitializationContext context) throws Exception {
        layout = model.layout();
        models.prepare();
        assemblies = new LinkedHashMap<>();
        unforced = new ArrayList<>();
        unforcedLedgers = new LinkedHashSet<>();
        shardsHandle =
                context.getOperatorStateStore()
                        .getListState(new ListStateDescriptor<>("shards", ModelShard.TYPE));
        ledgersHandle =
                context.getOperatorStateStore()
                        .getListState(
                                new ListStateDescriptor<>(
                                        "ledgers", StreamType.json(RoundLedger.class)));
        for (RoundLedger ledger : ledgersHandle.get()) {
            assembly(ledger.model()).take(ledger);
        }
        for (ModelShard shard : shardsHandle.get()) {
            assembly(shard.round()).write(shard, ByteBuffer.wrap(shard.bytes()));
        }
    }

    @Override
    public void open(OpenContext context) {
        access = regions.open();
        pool = shards.stream().findAny().map(s -> s.open(layout.maxUpdateBytes()));
    }

    private ModelAssembly assembly(RoundId version) throws IOException {
        ModelAssembly assembly = assemblies.get(version);
        if (assembly == null) {
            assembly = new ModelAssembly(models, layout, version);
            assemblies.put(version, assembly);
        }
        return assembly;
    }

    @Override
    public void processElement1(ModelShard shard, Context context, Collector<PublishedModel> out)
            throws Exception {
        ModelAssembly assembly = assembly(shard.round());
        if (shard.region().isEmpty()) {
            assembly.write(shard, ByteBuffer.wrap(shard.bytes()));
        } else {
            int length = layout.shardBytes(shard.shard());
            access.consume(
                    pool.orElseThrow(),
                    shard.region().get(),
                    length,
                    memory -> assembly.write(shard, memory.slice(0, length)));
        }
        finish(assembly, context, out);
    }

    @Override
    public void processElement2(LedgerPart part, Context context, Collector<PublishedModel> out)
            throws Exception {
        RoundLedger ledger = part.ledger();
        if (part.last()) {
            ModelAssembly assembly = assembly(ledger.model());
            assembly.take(ledger);
            finish(assembly, context, out);
        } else {
            models.ledger(part);
            unforcedLedgers.add(ledger.model());
        }
    }

    private void finish(ModelAssembly assembly, Context context, Collector<PublishedModel> out)
            throws IOException {
        if (!assembly.complete()) {
            return;
        }
        assemblies.remove(assembly.version());
        String rejected = assembly.rejection().orElse("");
        if (!rejected.isEmpty()) {
            LOG.warn("model {} is rejected: {}", assembly.version(), rejected);
        }
        try (assembly) {
            Path file =
                    rejected.isEmpty()
                            ? assembly.finish()
                            : assembly.reject(models.base(assembly.base(), model));
            unforced.add(assembly.version());
            out.collect(
                    new PublishedModel(
                            describe(
                                    job,
                                    run,
                                    assembly.version(),
                                    Files.size(file),
                                    rejected.isEmpty() ? assembly.crc32c() : crc32c(file),
                                    millisSince(assembly.lastUpdateMicros()),
                                    rejected),
                            models.place(assembly.version())));
        }
        context.output(LEDGERS, assembly.ledger().orElseThrow().rejected(rejected));
    }

    @Override
    public void snapshotState(FunctionSnapshotContext context) throws Exception {
        List<ModelShard> unfinished = new ArrayList<>();
        List<RoundLedger> ledgers = new ArrayList<>();
        for (ModelAssembly assembly : assemblies.values()) {
            unfinished.addAll(assembly.shards());
            assembly.ledger().ifPresent(ledgers::add);
        }
        shardsHandle.update(unfinished);
        ledgersHandle.update(ledgers);
        for (RoundId version : unforced) {
            models.force(version);
        }
        unforced.clear();
        for (RoundId version : unforcedLedgers) {
            models.forceLedger(version);
        }
        unforcedLedgers.clear();
        access.releaseAgain();
    }

    @Override
    public void close() throws IOException {
        if (assemblies != null) {
            for (ModelAssembly assembly : assemblies.values()) {
                assembly.close();
            }
        }
        if (pool != null) {
            pool.ifPresent(RegionPool::close);
            pool = Optional.empty();
        }
        if (access != null) {
            access.close();
        }
    }

    /** Describes a model file that no round has just made. */
    public static ModelDescription describe(String job, String run, RoundId round, Path file)
            throws IOException {
        return describe(job, run, round, Files.size(file), crc32c(file), 0, "");
    }

    private double millisSince(long micros) {
        return micros == 0 ? 0 : (clock.micros() - micros) / 1e3;
    }

    private static ModelDescription describe(
            String job,
            String run,
            RoundId round,
            long length,
            int crc32c,
            double millis,
            String rejected) {
        return new ModelDescription(
                job,
                run,
                round.round(),
                round.epoch(),
                length,
                ChunkPart.MAX_CHUNK_BYTES,
                crc32c,
                millis,
                rejected);
    }

    private static int crc32c(Path file) throws IOException {
        try (MappedFile mapped =
                MappedFile.open(new PayloadRef(file.toString(), 0, Files.size(file), 0))) {
            return mapped.crc32c();
        }
    }
}
