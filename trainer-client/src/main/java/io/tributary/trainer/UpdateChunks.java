// SPDX-License-Identifier: Apache-2.0

package io.tributary.trainer;

import io.tributary.protocol.chunk.ChunkHeader;
import io.tributary.protocol.chunk.ChunkPart;
import io.tributary.shm.region.MappedFile;
import java.nio.ByteBuffer;
import java.util.Map;

/** Cuts updates into chunks, each sending of an update anew. Not thread-safe. */
final class UpdateChunks {

    private final Identity self;
    private long attempt;

    UpdateChunks(Identity self) {
        this.self = self;
    }

    /** A new sending of an update. */
    Sending begin(ModelUpdate update) {
        // Time, so that attempts of one process of this trainer differ from those of the next.
        attempt = Math.max(attempt + 1, System.currentTimeMillis());
        MappedFile file = update.memory();
        return new Sending(update, attempt, file, file.crc32c());
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
