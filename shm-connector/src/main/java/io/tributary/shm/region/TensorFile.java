// SPDX-License-Identifier: Apache-2.0

package io.tributary.shm.region;

import io.tributary.protocol.RejectReason;
import io.tributary.protocol.RejectedException;
import io.tributary.protocol.message.PayloadRef;
import io.tributary.protocol.tensor.DType;
import io.tributary.protocol.tensor.Elements;
import io.tributary.protocol.tensor.ModelLayout;
import io.tributary.protocol.tensor.SafetensorsHeader;
import io.tributary.protocol.tensor.TensorInfo;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;

/** A mapped safetensors payload. Reading is thread-safe; not to be used after {@link #close}. */
public final class TensorFile implements AutoCloseable {

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
        MappedFile mapped = MappedFile.open(payload);
        try {
            return new TensorFile(
                    mapped,
                    SafetensorsHeader.parse(
                            payload.length(),
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
        model.match(header);
        for (TensorInfo tensor : header.tensors()) {
            if (tensor.dtype().floating()) {
                refuseNonFinite(tensor);
            }
        }
    }

    /**
     * The same, and that the payload has its checksum.
     *
     * @throws RejectedException CHECKSUM as well
     */
    public void check(ModelLayout model, int crc32c) {
        int found = mapped.crc32c();
        if (found != crc32c) {
            throw new RejectedException(
                    RejectReason.CHECKSUM,
                    "the whole should have CRC32C %08x, it has %08x".formatted(crc32c, found));
        }
        check(model);
    }

    private void refuseNonFinite(TensorInfo tensor) {
        int block = 1 << 16;
        for (long from = 0; from < tensor.elements(); from += block) {
            int count = (int) Math.min(block, tensor.elements() - from);
            ByteBuffer elements = elements(tensor, from, count);
            if (allFinite(tensor.dtype(), elements, count)) {
                continue;
            }
            for (int i = 0; i < count; i++) {
                double value = Elements.get(tensor.dtype(), elements, i * tensor.dtype().bytes());
                if (!Double.isFinite(value)) {
                    throw new RejectedException(
                            RejectReason.NOT_FINITE,
                            "tensor '%s' has %s at index %s; only finite values can be averaged"
                                    .formatted(
                                            tensor.name(),
                                            Double.isNaN(value) ? "NaN" : "Inf",
                                            index(tensor.shape(), from + i)));
                }
            }
        }
    }

    /** A value is finite unless its exponent bits are all ones; no branch in the loop. */
    private static boolean allFinite(DType type, ByteBuffer elements, int count) {
        ByteBuffer bits = elements.duplicate().order(ByteOrder.LITTLE_ENDIAN);
        boolean bad = false;
        switch (type) {
            case F64 -> {
                for (int i = 0; i < count; i++) {
                    bad |= (bits.getLong(i * 8) & 0x7FF0000000000000L) == 0x7FF0000000000000L;
                }
            }
            case F32 -> {
                for (int i = 0; i < count; i++) {
                    bad |= (bits.getInt(i * 4) & 0x7F800000) == 0x7F800000;
                }
            }
            case F16 -> {
                for (int i = 0; i < count; i++) {
                    bad |= (bits.getShort(i * 2) & 0x7C00) == 0x7C00;
                }
            }
            case BF16 -> {
                for (int i = 0; i < count; i++) {
                    bad |= (bits.getShort(i * 2) & 0x7F80) == 0x7F80;
                }
            }
            default -> throw new AssertionError(type);
        }
        return !bad;
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
