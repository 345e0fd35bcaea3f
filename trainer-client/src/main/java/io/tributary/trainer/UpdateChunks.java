// SPDX-License-Identifier: Apache-2.0

package io.tributary.trainer;

import io.tributary.protocol.chunk.ChunkHeader;
import io.tributary.protocol.chunk.ChunkPart;
import io.tributary.shm.region.MappedFile;
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

    /** A new sending of an update. */
    Sending begin(ModelUpdate update) {
        MappedFile file = update.memory();
        return new Sending(update, update.attempt(), file, file.crc32c());
    }

    /** All chunks of one sending. */
    final class Sending {

        private final ModelUpdate update;
        private final long attempt;
        private final MappedFile file;
        private final int crc32c;

        Sending(ModelUpdate update, long attempt, MappedFile file, int crc32c) {
            this.update = update;
            this.attempt = attempt;
            this.file = file;
            this.crc32c = crc32c;
        }

        int count() {
            return ChunkPart.count(file.length(), ChunkPart.MAX_CHUNK_BYTES);
        }

        /** A chunk's bytes, in the update's memory. */
        ByteBuffer bytes(int chunk) {
            long offset = (long) chunk * ChunkPart.MAX_CHUNK_BYTES;
            return file.slice(
                    offset, (int) Math.min(ChunkPart.MAX_CHUNK_BYTES, file.length() - offset));
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
                                    ChunkPart.MAX_CHUNK_BYTES,
                                    file.length(),
                                    crc32c,
                                    ChunkPart.crc(bytes(chunk))))
                    .toProperties();
        }
    }
}
