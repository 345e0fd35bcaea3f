// SPDX-License-Identifier: Apache-2.0

package io.tributary.trainer;

import io.tributary.memory.region.TensorFile;
import io.tributary.protocol.chunk.ChunkPart;
import io.tributary.protocol.chunk.ModelChunkHeader;
import io.tributary.protocol.message.RoundId;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.BitSet;
import java.util.Optional;
import java.util.UUID;

/** One version of the model that is coming in, chunk by chunk. Not thread-safe. */
final class ModelDownload implements ModelVersion {

    private final String run;
    private final RoundId id;
    private final ChunkPart first;
    private final Path file;
    private final BitSet written = new BitSet();
    private boolean taken;

    /** Makes a directory for the models of a trainer. */
    static Path directory(Optional<Path> parent, String trainer) {
        try {
            return parent.isPresent()
                    ? Files.createTempDirectory(parent.get(), trainer + "-")
                    : Files.createTempDirectory("tributary-trainer-");
        } catch (IOException e) {
            throw new UncheckedIOException(
                    "no directory for models can be made in "
                            + parent.map(Path::toString).orElse("the temporary directory"),
                    e);
        }
    }

    ModelDownload(Path directory, ModelChunkHeader header) {
        this.run = header.run();
        this.id = header.id();
        this.first = header.part();
        // A name of its own: somebody may still read one that was replaced.
        this.file = directory.resolve("model-%s-%s.safetensors".formatted(id, UUID.randomUUID()));
    }

    @Override
    public RoundId id() {
        return id;
    }

    /**
     * Whether a chunk of another model makes this one worth nothing: it is of another run, or not
     * older, or of the same version made once more.
     */
    boolean replacedBy(ModelChunkHeader other) {
        if (!run.equals(other.run())) {
            return true;
        }
        if (id.equals(other.id())) {
            return !first.samePayload(other.part());
        }
        int here = RoundId.count(id.epoch());
        int there = RoundId.count(other.id().epoch());
        return there > here || there == here && other.id().round() >= id.round();
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
