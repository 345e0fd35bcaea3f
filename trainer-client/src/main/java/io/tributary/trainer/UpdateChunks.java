// SPDX-License-Identifier: Apache-2.0

package io.tributary.trainer;

import io.tributary.memory.region.MappedFile;
import io.tributary.protocol.Crc32c;
import io.tributary.protocol.chunk.ChunkHeader;
import io.tributary.protocol.chunk.ChunkPart;
import java.nio.ByteBuffer;
import java.util.Map;
import java.util.function.Supplier;

/** Cuts updates into chunks, each sending of an update anew. Not thread-safe. */
final class UpdateChunks {

    private final Identity self;
    private final Supplier<String> token;

    /**
     * @param token what the job has given this client
     */
    UpdateChunks(Identity self, Supplier<String> token) {
        this.self = self;
        this.token = token;
    }

    /**
     * A new sending of an update.
     *
     * @param chunkBytes of every chunk but the last
     */
    Sending begin(ModelUpdate update, int chunkBytes) {
        MappedFile file = update.memory();
        return new Sending(update, update.attempt(), file, chunkBytes);
    }

    /** All chunks of one sending. */
    final class Sending {

        private final ModelUpdate update;
        private final long attempt;
        private final MappedFile file;
        private final int chunkBytes;

        /** Of each chunk, and of all together, read once. */
        private final int[] checksums;

        private final int crc32c;

        Sending(ModelUpdate update, long attempt, MappedFile file, int chunkBytes) {
            this.chunkBytes = chunkBytes;
            this.update = update;
            this.attempt = attempt;
            this.file = file;
            this.checksums = new int[count()];
            int whole = 0;
            for (int chunk = 0; chunk < checksums.length; chunk++) {
                ByteBuffer bytes = bytes(chunk);
                checksums[chunk] = ChunkPart.crc(bytes);
                whole = Crc32c.join(whole, checksums[chunk], bytes.remaining());
            }
            this.crc32c = whole;
        }

        int count() {
            return ChunkPart.count(file.length(), chunkBytes);
        }

        /** A chunk's bytes, in the update's memory. */
        ByteBuffer bytes(int chunk) {
            long offset = (long) chunk * chunkBytes;
            return file.slice(offset, (int) Math.min(chunkBytes, file.length() - offset));
        }

        /** What stands beside a chunk. */
        Map<String, String> properties(int chunk) {
            return new ChunkHeader(
                            self.job(),
                            self.trainer(),
                            update.id().round(),
                            update.id().epoch(),
                            self.instance(),
                            token.get(),
                            attempt,
                            update.samples(),
                            update.kind(),
                            update.metrics(),
                            new ChunkPart(
                                    chunk,
                                    count(),
                                    chunkBytes,
                                    file.length(),
                                    crc32c,
                                    checksums[chunk]))
                    .toProperties();
        }
    }
}
