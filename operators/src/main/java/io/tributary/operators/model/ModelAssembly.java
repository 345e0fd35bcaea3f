// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.model;

import io.tributary.protocol.Crc32c;
import io.tributary.protocol.message.RoundId;
import io.tributary.protocol.message.RoundLedger;
import io.tributary.protocol.tensor.ModelLayout;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.zip.CRC32C;

/**
 * One version of the model that is being put together in a file. Everything that it needs to be
 * begun again elsewhere is in {@link #shards()}, so nothing depends on the file. Not thread-safe.
 */
final class ModelAssembly implements AutoCloseable {

    private final ModelLayout layout;
    private final RoundId version;
    private final ModelWriter writer;
    private final RoundVerdict verdict;

    /** What has come, without the bytes: they are in the file. */
    private final Map<Integer, ModelShard> written = new TreeMap<>();

    /** The CRC32C of each of them, while it was in the cache. */
    private final Map<Integer, Integer> checksums = new TreeMap<>();

    private Optional<RoundLedger> ledger = Optional.empty();

    ModelAssembly(ModelStore models, ModelLayout layout, RoundId version) throws IOException {
        this.layout = layout;
        this.version = version;
        this.verdict = new RoundVerdict(layout.shards());
        this.writer = models.write(version, layout);
    }

    RoundId version() {
        return version;
    }

    /** Writes a shard's bytes. */
    void write(ModelShard shard, ByteBuffer bytes) throws IOException {
        checksums.put(shard.shard(), crc32c(bytes.duplicate()));
        writer.write(shard.shard(), bytes);
        written.put(shard.shard(), shard.without());
        verdict.take(shard.shard(), shard.flaw());
    }

    private static int crc32c(ByteBuffer bytes) {
        CRC32C crc = new CRC32C();
        crc.update(bytes);
        return (int) crc.getValue();
    }

    /** The CRC32C of the whole file. */
    int crc32c() {
        int whole = crc32c(ByteBuffer.wrap(layout.header().bytes()));
        for (Map.Entry<Integer, Integer> shard : checksums.entrySet()) {
            whole = Crc32c.join(whole, shard.getValue(), layout.shardBytes(shard.getKey()));
        }
        return whole;
    }

    /** Takes what says which updates are in it. */
    void take(RoundLedger itsLedger) {
        ledger = Optional.of(itsLedger);
    }

    Optional<RoundLedger> ledger() {
        return ledger;
    }

    /** Whether nothing is missing. */
    boolean complete() {
        return verdict.due() && ledger.isPresent();
    }

    /** Why the model is not the mean of the round's updates; empty when it is. */
    Optional<String> rejection() {
        return verdict.rejection();
    }

    /** When the round's last update came, µs since 1970. */
    long lastUpdateMicros() {
        return written.values().iterator().next().lastUpdateMicros();
    }

    /** All shards that have come, with their bytes. */
    List<ModelShard> shards() throws IOException {
        List<ModelShard> all = new ArrayList<>();
        for (ModelShard shard : written.values()) {
            all.add(shard.with(writer.read(shard.shard())));
        }
        return all;
    }

    /**
     * The version becomes the former model once more.
     *
     * @param former the file of the version that trainers started from
     */
    Path reject(Path former) throws IOException {
        return writer.reject(former, rejection().orElseThrow());
    }

    /** The version becomes a file. */
    Path finish() throws IOException {
        return writer.finish();
    }

    /** The version of the model that trainers started from. */
    RoundId base() {
        return written.values().iterator().next().base();
    }

    @Override
    public void close() throws IOException {
        writer.close();
    }
}
