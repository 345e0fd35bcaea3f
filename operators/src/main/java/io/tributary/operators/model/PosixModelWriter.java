// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.model;

import io.tributary.protocol.message.RoundId;
import io.tributary.protocol.tensor.ModelLayout;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.ClosedChannelException;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;

/** Writes each shard at its place in a file, which gets its name when it is whole. */
final class PosixModelWriter implements ModelWriter {

    private final PosixModelStore models;
    private final ModelLayout layout;
    private final RoundId version;
    private final Path file;
    private final FileChannel part;

    PosixModelWriter(PosixModelStore models, ModelLayout layout, RoundId version)
            throws IOException {
        this.models = models;
        this.layout = layout;
        this.version = version;
        this.file = models.part(version);
        this.part =
                FileChannel.open(
                        file,
                        StandardOpenOption.CREATE_NEW,
                        StandardOpenOption.READ,
                        StandardOpenOption.WRITE);
        write(ByteBuffer.wrap(layout.header().bytes()), 0);
    }

    @Override
    public void write(int shard, ByteBuffer bytes) throws IOException {
        write(bytes, layout.fileOffset(shard));
    }

    private void write(ByteBuffer bytes, long offset) throws IOException {
        long at = offset;
        try {
            while (bytes.hasRemaining()) {
                at += part.write(bytes, at);
            }
        } catch (ClosedChannelException e) {
            // The task is cancelled.
            throw e;
        } catch (IOException e) {
            throw new IOException(models.place(version) + " cannot be written: " + e.getMessage());
        }
    }

    @Override
    public byte[] read(int shard) throws IOException {
        ByteBuffer bytes = ByteBuffer.allocate(layout.shardBytes(shard));
        long offset = layout.fileOffset(shard);
        while (bytes.hasRemaining()) {
            if (part.read(bytes, offset + bytes.position()) < 0) {
                throw new IOException(file + " was cut short by somebody");
            }
        }
        return bytes.array();
    }

    @Override
    public Path finish() throws IOException {
        Path whole = models.version(version);
        PosixModelStore.rename(file, whole);
        return whole;
    }

    @Override
    public Path reject(Path former, String why) throws IOException {
        models.reject(version, why);
        Files.copy(former, file, StandardCopyOption.REPLACE_EXISTING);
        return finish();
    }

    @Override
    public void close() throws IOException {
        part.close();
        Files.deleteIfExists(file);
    }
}
