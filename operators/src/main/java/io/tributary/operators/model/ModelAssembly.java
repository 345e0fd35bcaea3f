// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.model;

import io.tributary.protocol.Crc32c;
import io.tributary.protocol.message.RoundId;
import io.tributary.protocol.message.RoundLedger;
import io.tributary.protocol.tensor.ModelLayout;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
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

    private final ModelDirectory models;
    private final ModelLayout layout;
    private final RoundId version;
    private final Path file;
    private final FileChannel part;
    private final RoundVerdict verdict;

    /** What has come, without the bytes: they are in the file. */
    private final Map<Integer, ModelShard> written = new TreeMap<>();

    /** The CRC32C of each of them, while it was in the cache. */
    private final Map<Integer, Integer> checksums = new TreeMap<>();

    private Optional<RoundLedger> ledger = Optional.empty();

    ModelAssembly(ModelDirectory models, ModelLayout layout, RoundId version) throws IOException {
        this.models = models;
        this.layout = layout;
        this.version = version;
        this.verdict = new RoundVerdict(layout.shards());
        this.file = models.part(version);
        this.part =
                FileChannel.open(
                        file,
                        StandardOpenOption.CREATE_NEW,
                        StandardOpenOption.READ,
                        StandardOpenOption.WRITE);
        write(ByteBuffer.wrap(layout.header().bytes()), 0);
    }

    RoundId version() {
        return version;
    }

    /** Writes a shard's bytes. */
    void write(ModelShard shard, ByteBuffer bytes) throws IOException {
        checksums.put(shard.shard(), crc32c(bytes.duplicate()));
        write(bytes, layout.fileOffset(shard.shard()));
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

    private void write(ByteBuffer bytes, long offset) throws IOException {
        long at = offset;
        while (bytes.hasRemaining()) {
            at += part.write(bytes, at);
        }
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
            ByteBuffer bytes = ByteBuffer.allocate(layout.shardBytes(shard.shard()));
            long offset = layout.fileOffset(shard.shard());
            while (bytes.hasRemaining()) {
                if (part.read(bytes, offset + bytes.position()) < 0) {
                    throw new IOException(file + " was cut short by somebody");
                }
            }
            all.add(shard.with(bytes.array()));
        }
        return all;
    }

    /**
     * The version becomes the former model once more.
     *
     * @param former the file of the version that trainers started from
     */
    Path reject(Path former) throws IOException {
        models.reject(version, rejection().orElseThrow());
        Files.copy(former, file, StandardCopyOption.REPLACE_EXISTING);
        return finish();
    }

    /** The version becomes a file. */
    Path finish() throws IOException {
        Path whole = models.version(version);
        ModelDirectory.rename(file, whole);
        return whole;
    }

    /** The version of the model that trainers started from. */
    RoundId base() {
        return written.values().iterator().next().base();
    }

    @Override
    public void close() throws IOException {
        part.close();
        Files.deleteIfExists(file);
    }
}
