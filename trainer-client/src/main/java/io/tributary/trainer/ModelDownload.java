// SPDX-License-Identifier: Apache-2.0

package io.tributary.trainer;

import io.tributary.protocol.chunk.ChunkPart;
import io.tributary.protocol.chunk.ModelChunkHeader;
import io.tributary.protocol.message.RoundId;
import io.tributary.shm.region.TensorFile;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.BitSet;

/** One version of the model that is coming in, chunk by chunk. Not thread-safe. */
final class ModelDownload implements ModelVersion {

    private final RoundId id;
    private final ChunkPart first;
    private final Path file;
    private final BitSet written = new BitSet();
    private boolean taken;

    ModelDownload(Path directory, ModelChunkHeader header) {
        this.id = header.id();
        this.first = header.part();
        this.file = directory.resolve("model-" + id + ".safetensors");
    }

    @Override
    public RoundId id() {
        return id;
    }

    /** Writes a chunk; one of another cut or with wrong bytes is ignored and comes again. */
    void write(ChunkPart part, byte[] bytes) {
        if (!part.samePayload(first) || written.get(part.chunk())) {
            return;
        }
        part.check(ByteBuffer.wrap(bytes));
        try (FileChannel channel =
                FileChannel.open(file, StandardOpenOption.CREATE, StandardOpenOption.WRITE)) {
            ByteBuffer rest = ByteBuffer.wrap(bytes);
            while (rest.hasRemaining()) {
                channel.write(rest, part.offset() + rest.position());
            }
        } catch (IOException e) {
            throw new UncheckedIOException("model " + id + " cannot be written to " + file, e);
        }
        written.set(part.chunk());
    }

    @Override
    public void take() {
        taken = true;
    }

    @Override
    public boolean taken() {
        return taken;
    }

    @Override
    public boolean complete() {
        return written.cardinality() == first.chunks();
    }

    @Override
    public TensorFile open() {
        return TensorFile.open(file);
    }

    @Override
    public void discard() {
        try {
            Files.deleteIfExists(file);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
