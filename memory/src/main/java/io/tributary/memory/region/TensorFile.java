// SPDX-License-Identifier: Apache-2.0

package io.tributary.memory.region;

import io.tributary.memory.kernel.FoldKernel;
import io.tributary.protocol.RejectReason;
import io.tributary.protocol.RejectedException;
import io.tributary.protocol.message.PayloadRef;
import io.tributary.protocol.tensor.DType;
import io.tributary.protocol.tensor.ModelLayout;
import io.tributary.protocol.tensor.SafetensorsHeader;
import io.tributary.protocol.tensor.TensorInfo;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.OptionalInt;
import java.util.zip.CRC32C;

/** A mapped safetensors payload. Reading is thread-safe; not to be used after {@link #close}. */
public final class TensorFile implements AutoCloseable {

    private static final int BLOCK_BYTES = 1 << 15;
    private static final FoldKernel KERNEL = FoldKernel.best();

    private final MappedFile mapped;
    private final SafetensorsHeader header;

    private TensorFile(MappedFile mapped, SafetensorsHeader header) {
        this.mapped = mapped;
        this.header = header;
    }

    /**
     * Maps a payload and checks its header.
     *
     * @param maxHeaderBytes the longest JSON header to be read
     * @throws RejectedException MALFORMED or PAYLOAD_LOST
     */
    public static TensorFile open(PayloadRef payload, long maxHeaderBytes) {
        return open(MappedFile.open(payload), payload.length(), maxHeaderBytes);
    }

    /**
     * Checks the header of a mapped payload; closing this closes the mapping.
     *
     * @throws RejectedException MALFORMED, with the mapping closed
     */
    public static TensorFile open(MappedFile mapped, long length, long maxHeaderBytes) {
        try {
            return new TensorFile(
                    mapped,
                    SafetensorsHeader.parse(
                            length,
                            maxHeaderBytes,
                            (at, into) -> into.put(mapped.slice(at, into.remaining()))));
        } catch (IOException e) {
            mapped.close();
            throw new UncheckedIOException(e);
        } catch (RuntimeException e) {
            mapped.close();
            throw e;
        }
    }

    /**
     * Maps a whole file.
     *
     * @throws RejectedException MALFORMED or PAYLOAD_LOST, naming the file
     */
    public static TensorFile open(Path file) {
        SafetensorsHeader header = SafetensorsHeader.read(file);
        return new TensorFile(
                MappedFile.open(new PayloadRef(file.toString(), 0, header.fileLength(), 0)),
                header);
    }

    /** What the file holds. */
    public SafetensorsHeader header() {
        return header;
    }

    /** Bytes of the file. */
    public MappedFile mapped() {
        return mapped;
    }

    /** A little-endian view of elements {@code from} to {@code from + count} of a tensor. */
    public ByteBuffer elements(TensorInfo tensor, long from, int count) {
        int size = tensor.dtype().bytes();
        return mapped.slice(
                header.dataOffset() + tensor.begin() + from * size,
                Math.multiplyExact(count, size));
    }

    /**
     * Checks that the file can be folded into a model: the same tensors, all values finite.
     *
     * @throws RejectedException WRONG_SHAPE, or NOT_FINITE naming tensor and index
     */
    public void check(ModelLayout model) {
        check(model, OptionalInt.empty());
    }

    /**
     * The same, and that the payload has its checksum if one is known, in one pass over its memory.
     *
     * @return its CRC32C
     * @throws RejectedException CHECKSUM as well
     */
    public int check(ModelLayout model, OptionalInt crc32c) {
        model.check(header);
        CRC32C crc = begun(mapped, header);
        // Without holes or overlaps, so the tensors in their order are the rest of the file.
        for (TensorInfo tensor : header.tensors()) {
            try {
                check(tensor, crc);
            } catch (RejectedException e) {
                // Bytes that are not what was sent explain it better.
                crc32c.ifPresent(expected -> requireSame(expected, mapped.crc32c()));
                throw e;
            }
        }
        int found = (int) crc.getValue();
        crc32c.ifPresent(expected -> requireSame(expected, found));
        return found;
    }

    /** The checksum so far, when the header has been read. */
    private static CRC32C begun(MappedFile file, SafetensorsHeader header) {
        CRC32C crc = new CRC32C();
        crc.update(file.slice(0, Math.toIntExact(header.dataOffset())));
        return crc;
    }

    private static void requireSame(int expected, int found) {
        if (found != expected) {
            throw new RejectedException(
                    RejectReason.CHECKSUM,
                    "the whole should have CRC32C %08x, it has %08x".formatted(expected, found));
        }
    }

    private void check(TensorInfo tensor, CRC32C crc) {
        long bad = walk(mapped, header, tensor, crc);
        if (bad >= 0) {
            int count = (int) Math.min(block(tensor), tensor.elements() - bad);
            throw notFinite(tensor, bad, elements(tensor, bad, count), count);
        }
    }

    private static int block(TensorInfo tensor) {
        return BLOCK_BYTES / tensor.dtype().bytes();
    }

    /**
     * Block by block, so that what the checksum has read is in the cache for the check.
     *
     * @return the first element of the first block that has one that is not finite; -1 where all
     *     are
     */
    private static long walk(
            MappedFile file, SafetensorsHeader header, TensorInfo tensor, CRC32C crc) {
        DType type = tensor.dtype();
        int block = block(tensor);
        long begin = header.dataOffset() + tensor.begin();
        for (long from = 0; from < tensor.elements(); from += block) {
            int count = (int) Math.min(block, tensor.elements() - from);
            long at = begin + from * type.bytes();
            crc.update(file.slice(at, count * type.bytes()));
            if (!KERNEL.finite(type, file, at, count)) {
                return from;
            }
        }
        return -1;
    }

    /**
     * What is known of a file that somebody has just written, in one pass over it.
     *
     * @param header whose tensors are in it, in their order
     */
    public static OwnedRegion.Content content(MappedFile file, SafetensorsHeader header) {
        CRC32C crc = begun(file, header);
        for (TensorInfo tensor : header.tensors()) {
            if (walk(file, header, tensor, crc) >= 0) {
                // The reader says which value that is.
                return OwnedRegion.Content.UNKNOWN;
            }
        }
        return new OwnedRegion.Content(OptionalInt.of((int) crc.getValue()), true);
    }

    private static RejectedException notFinite(
            TensorInfo tensor, long from, ByteBuffer elements, int count) {
        for (int i = 0; i < count; i++) {
            double value = tensor.dtype().get(elements, i * tensor.dtype().bytes());
            if (!Double.isFinite(value)) {
                return new RejectedException(
                        RejectReason.NOT_FINITE,
                        "tensor '%s' has %s at index %s; only finite values can be averaged"
                                .formatted(
                                        tensor.name(),
                                        Double.isNaN(value) ? "NaN" : "Inf",
                                        index(tensor.shape(), from + i)));
            }
        }
        return new RejectedException(
                RejectReason.CHECKSUM, "it changed while it was being read; write it no more");
    }

    private static String index(List<Long> shape, long flat) {
        long[] index = new long[shape.size()];
        long rest = flat;
        for (int d = shape.size() - 1; d >= 0; d--) {
            index[d] = rest % shape.get(d);
            rest /= shape.get(d);
        }
        return Arrays.toString(index);
    }

    @Override
    public void close() {
        mapped.close();
    }
}
