// SPDX-License-Identifier: Apache-2.0

package io.tributary.protocol.tensor;

import com.fasterxml.jackson.databind.JsonNode;
import io.tributary.protocol.Json;
import io.tributary.protocol.RejectReason;
import io.tributary.protocol.RejectedException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Predicate;

/**
 * The header of a safetensors file: 8 bytes little-endian header length, then JSON that maps names
 * to {@code dtype}, {@code shape} and {@code data_offsets}, then the data without holes. The format
 * is that of the safetensors project's README. Immutable.
 */
public final class SafetensorsHeader {

    /** The format's own limit for the JSON part, in bytes. */
    public static final long MAX_JSON_BYTES = 100_000_000;

    private static final String METADATA = "__metadata__";

    private final byte[] bytes;
    private final List<TensorInfo> tensors;
    private final Map<String, TensorInfo> byName;

    private SafetensorsHeader(byte[] bytes, List<TensorInfo> tensors) {
        this.bytes = bytes;
        this.tensors = List.copyOf(tensors);
        this.byName = new HashMap<>(2 * tensors.size());
        tensors.forEach(tensor -> byName.put(tensor.name(), tensor));
    }

    /** Reads up to {@code buffer.remaining()} bytes at {@code offset}; a plain positional read. */
    @FunctionalInterface
    public interface Reader {
        /** Fills {@code buffer} from {@code offset} of the file on. */
        void read(long offset, ByteBuffer buffer) throws IOException;
    }

    /** Lays tensors out in the given order, without holes. */
    public static SafetensorsHeader create(List<TensorInfo> inOrder, Map<String, String> metadata) {
        Map<String, Object> json = new LinkedHashMap<>();
        if (!metadata.isEmpty()) {
            json.put(METADATA, metadata);
        }
        long at = 0;
        List<TensorInfo> placed = new ArrayList<>();
        for (TensorInfo t : inOrder) {
            long length = t.end() - t.begin();
            placed.add(new TensorInfo(t.name(), t.dtype(), t.shape(), at, at + length));
            json.put(
                    t.name(),
                    Map.of(
                            "dtype", t.dtype().name(),
                            "shape", t.shape(),
                            "data_offsets", List.of(at, at + length)));
            at += length;
        }
        byte[] text = Json.encode(json);
        // Padded with spaces so that the data starts 8-byte aligned, as the format recommends.
        int padded = (text.length + 7) & ~7;
        ByteBuffer out = ByteBuffer.allocate(8 + padded).order(ByteOrder.LITTLE_ENDIAN);
        out.putLong(padded).put(text);
        Arrays.fill(out.array(), 8 + text.length, 8 + padded, (byte) ' ');
        return new SafetensorsHeader(out.array(), placed);
    }

    /** A tensor to be placed by {@link #create}. */
    public static TensorInfo tensor(String name, DType dtype, long... shape) {
        long elements = Arrays.stream(shape).reduce(1, Math::multiplyExact);
        return new TensorInfo(
                name,
                dtype,
                Arrays.stream(shape).boxed().toList(),
                0,
                Math.multiplyExact(elements, dtype.bytes()));
    }

    /**
     * Reads and checks the header of a file.
     *
     * @throws RejectedException MALFORMED, naming the file and what is wrong with it
     */
    public static SafetensorsHeader read(Path file) {
        try (FileChannel channel = FileChannel.open(file, StandardOpenOption.READ)) {
            return parse(
                    channel.size(),
                    MAX_JSON_BYTES,
                    (offset, buffer) -> {
                        while (buffer.hasRemaining()) {
                            int n = channel.read(buffer, offset + buffer.position());
                            if (n < 0) {
                                throw new IOException("the file ends early");
                            }
                        }
                    });
        } catch (NoSuchFileException e) {
            throw new RejectedException(RejectReason.MALFORMED, file + ": there is no such file");
        } catch (IOException e) {
            throw new RejectedException(
                    RejectReason.MALFORMED, file + ": cannot be read: " + e.getMessage());
        } catch (RejectedException e) {
            throw new RejectedException(e.reason(), file + ": " + e.getMessage());
        }
    }

    /**
     * Reads and checks a header.
     *
     * @param length bytes of the whole file
     * @param maxJsonBytes the longest JSON part to be read: a header takes many times its length on
     *     the heap
     * @throws RejectedException MALFORMED, saying what is wrong
     */
    public static SafetensorsHeader parse(long length, long maxJsonBytes, Reader reader)
            throws IOException {
        if (length < 8) {
            throw malformed("a file of %d bytes, a safetensors file has at least 8", length);
        }
        ByteBuffer size = ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN);
        reader.read(0, size);
        long jsonLength = size.getLong(0);
        if (jsonLength < 2 || jsonLength > maxJsonBytes) {
            throw malformed(
                    "the first 8 bytes give a header of %s bytes, allowed are 2 to %d; is this a"
                            + " safetensors file?",
                    Long.toUnsignedString(jsonLength), maxJsonBytes);
        }
        if (jsonLength > length - 8) {
            throw malformed(
                    "the header should have %d bytes, the file ends after %d; it is truncated",
                    jsonLength, length - 8);
        }
        ByteBuffer whole = ByteBuffer.allocate(8 + (int) jsonLength);
        whole.putLong(0, Long.reverseBytes(jsonLength)).position(8);
        reader.read(8, whole.slice());
        byte[] bytes = whole.array();
        JsonNode json = Json.header(bytes, 8);
        if (!json.isObject()) {
            throw malformed("the header should be a JSON object, it is %s", json.getNodeType());
        }
        List<TensorInfo> tensors = new ArrayList<>();
        for (Map.Entry<String, JsonNode> field : json.properties()) {
            if (field.getKey().equals(METADATA)) {
                continue;
            }
            tensors.add(tensor(field.getKey(), field.getValue()));
        }
        tensors.sort(
                Comparator.comparingLong(TensorInfo::begin).thenComparingLong(TensorInfo::end));
        checkCoverage(tensors, length - bytes.length);
        return new SafetensorsHeader(bytes, tensors);
    }

    private static TensorInfo tensor(String name, JsonNode json) {
        DType dtype = DType.of(json.path("dtype").asText("(none)"), name);
        JsonNode shape = json.path("shape");
        JsonNode offsets = json.path("data_offsets");
        if (!shape.isArray() || !offsets.isArray() || offsets.size() != 2) {
            throw malformed("tensor '%s' needs an array shape and two data_offsets", name);
        }
        List<Long> dims = new ArrayList<>();
        long elements = 1;
        try {
            for (JsonNode dim : shape) {
                dims.add(index(name, "shape", dim));
                elements = Math.multiplyExact(elements, dim.longValue());
            }
            elements = Math.multiplyExact(elements, dtype.bytes());
        } catch (ArithmeticException e) {
            throw malformed("tensor '%s' of shape %s is larger than 2^63 bytes", name, shape);
        }
        long begin = index(name, "data_offsets", offsets.get(0));
        long end = index(name, "data_offsets", offsets.get(1));
        if (end < begin || end - begin != elements) {
            throw malformed(
                    "tensor '%s' %s%s needs %d bytes, its data_offsets %s give %d",
                    name, dtype, shape, elements, offsets, end - begin);
        }
        return new TensorInfo(name, dtype, dims, begin, end);
    }

    private static long index(String name, String field, JsonNode value) {
        if (!value.isIntegralNumber() || !value.canConvertToLong() || value.longValue() < 0) {
            throw malformed(
                    "tensor '%s': %s has %s, expected a non-negative integer", name, field, value);
        }
        return value.longValue();
    }

    private static void checkCoverage(List<TensorInfo> sorted, long dataLength) {
        long at = 0;
        String before = "the header";
        for (TensorInfo t : sorted) {
            if (t.begin() != at) {
                throw malformed(
                        "tensor '%s' begins at byte %d, %s ends at %d; data must neither overlap nor"
                                + " have holes",
                        t.name(), t.begin(), before, at);
            }
            at = t.end();
            before = "tensor '" + t.name() + "'";
        }
        if (at != dataLength) {
            throw malformed(
                    "the tensors need %d bytes of data, the file has %d; it is %s",
                    at, dataLength, at > dataLength ? "truncated" : "longer than its header says");
        }
    }

    private static RejectedException malformed(String format, Object... args) {
        return new RejectedException(RejectReason.MALFORMED, format.formatted(args));
    }

    /** The tensors in the order of their data. */
    public List<TensorInfo> tensors() {
        return tensors;
    }

    /** The tensor with that name. */
    public Optional<TensorInfo> find(String name) {
        return Optional.ofNullable(byName.get(name));
    }

    /** What the file says of itself: texts by name; what is no text is left out. */
    public Map<String, String> metadata() {
        Map<String, String> metadata = new LinkedHashMap<>();
        Json.header(bytes, 8)
                .path(METADATA)
                .properties()
                .forEach(
                        field -> {
                            if (field.getValue().isTextual()) {
                                metadata.put(field.getKey(), field.getValue().textValue());
                            }
                        });
        return metadata;
    }

    /**
     * The header of a file with some of the tensors.
     *
     * @return the same header where that is all of them
     */
    public SafetensorsHeader only(Predicate<TensorInfo> wanted) {
        List<TensorInfo> some = tensors.stream().filter(wanted).toList();
        return some.size() == tensors.size() ? this : create(some, metadata());
    }

    /** The header as it stands in the file: length field, JSON and padding. */
    public byte[] bytes() {
        return bytes.clone();
    }

    /** Where the data begins in the file. */
    public long dataOffset() {
        return bytes.length;
    }

    /** Bytes of the whole file. */
    public long fileLength() {
        return bytes.length + (tensors.isEmpty() ? 0 : tensors.get(tensors.size() - 1).end());
    }
}
