// SPDX-License-Identifier: Apache-2.0

package io.tributary.protocol.chunk;

import io.tributary.protocol.RejectReason;
import io.tributary.protocol.RejectedException;
import java.nio.ByteBuffer;
import java.util.Map;
import java.util.zip.CRC32C;

/**
 * Which part of a payload a chunk carries. All chunks but the last have the same length.
 *
 * @param chunk index, 0 and up
 * @param chunks number of chunks, ≥ 1
 * @param chunkBytes length of every chunk but the last, 1 KiB to 1 MiB unless there is one
 * @param length bytes of the whole payload, ≥ 1
 * @param crc32c CRC32C of the whole payload
 * @param chunkCrc32c CRC32C of this chunk
 */
public record ChunkPart(
        int chunk, int chunks, int chunkBytes, long length, int crc32c, int chunkCrc32c) {

    /** The largest chunk, 1 MiB. */
    public static final int MAX_CHUNK_BYTES = 1 << 20;

    /** The smallest, unless one chunk is all: a receiver remembers each. */
    public static final int MIN_CHUNK_BYTES = 1 << 10;

    /** Number of chunks of a payload. */
    public static int count(long length, int chunkBytes) {
        return Math.toIntExact((length + chunkBytes - 1) / chunkBytes);
    }

    /** CRC32C of the remaining bytes; the buffer is left as it is. */
    public static int crc(ByteBuffer bytes) {
        CRC32C crc = new CRC32C();
        crc.update(bytes.duplicate());
        return (int) crc.getValue();
    }

    /** Where this chunk begins in the payload. */
    public long offset() {
        return (long) chunk * chunkBytes;
    }

    /** Bytes of this chunk. */
    public int bytes() {
        return (int) Math.min(chunkBytes, length - offset());
    }

    /** Whether both are parts of the same payload, cut alike. */
    public boolean samePayload(ChunkPart other) {
        return chunks == other.chunks
                && chunkBytes == other.chunkBytes
                && length == other.length
                && crc32c == other.crc32c;
    }

    /**
     * Checks the numbers against each other and the bytes against their checksum.
     *
     * @throws RejectedException CHUNK_OUT_OF_RANGE or CHUNK_CORRUPT
     */
    public void check(ByteBuffer bytes) {
        if (chunkBytes < 1 || chunkBytes > MAX_CHUNK_BYTES || length < 1) {
            throw outOfRange(
                    "chunk-bytes %d and length %d: allowed are 1 to %d, and 1 or more"
                            .formatted(chunkBytes, length, MAX_CHUNK_BYTES));
        }
        if (chunkBytes < MIN_CHUNK_BYTES && chunkBytes < length) {
            throw outOfRange(
                    "chunk-bytes %d of length %d: expected %d or more, or one chunk"
                            .formatted(chunkBytes, length, MIN_CHUNK_BYTES));
        }
        // Not count(): the numbers are a stranger's and may overflow an int.
        if (chunks != (length - 1) / chunkBytes + 1) {
            throw outOfRange(
                    "%d chunks of %d bytes do not make %d bytes"
                            .formatted(chunks, chunkBytes, length));
        }
        if (chunk < 0 || chunk >= chunks) {
            throw outOfRange("chunk %d of %d".formatted(chunk, chunks));
        }
        if (bytes.remaining() != bytes()) {
            throw outOfRange(
                    "chunk %d of %d should have %d bytes, it has %d"
                            .formatted(chunk, chunks, bytes(), bytes.remaining()));
        }
        int actual = crc(bytes);
        if (actual != chunkCrc32c) {
            throw new RejectedException(
                    RejectReason.CHUNK_CORRUPT,
                    "chunk %d of %d should have CRC32C %08x, it has %08x"
                            .formatted(chunk, chunks, chunkCrc32c, actual));
        }
    }

    private static RejectedException outOfRange(String text) {
        return new RejectedException(RejectReason.CHUNK_OUT_OF_RANGE, text);
    }

    /** Adds this part's properties. */
    public void putInto(Map<String, String> p) {
        p.put("chunk", Integer.toString(chunk));
        p.put("chunks", Integer.toString(chunks));
        p.put("chunk-bytes", Integer.toString(chunkBytes));
        p.put("length", Long.toString(length));
        p.put("crc32c", "%08x".formatted(crc32c));
        p.put("chunk-crc32c", "%08x".formatted(chunkCrc32c));
    }

    /**
     * Reads string properties.
     *
     * @throws RejectedException MALFORMED, naming the property
     */
    public static ChunkPart from(Map<String, String> p) {
        PropertyReader read = new PropertyReader(p);
        return new ChunkPart(
                read.integer("chunk"),
                read.integer("chunks"),
                read.integer("chunk-bytes"),
                read.number("length"),
                read.crc("crc32c"),
                read.crc("chunk-crc32c"));
    }
}
