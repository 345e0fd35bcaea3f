// SPDX-License-Identifier: Apache-2.0

package io.tributary.memory.region;

import io.tributary.memory.kernel.Memory;
import io.tributary.protocol.RejectReason;
import io.tributary.protocol.RejectedException;
import io.tributary.protocol.message.PayloadRef;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.MappedByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.zip.CRC32C;

/**
 * A mapped payload of any length. It must not be used after {@link #close}, which unmaps it at once
 * rather than when the garbage collector comes by. Reading is thread-safe.
 */
public final class MappedFile implements Memory, AutoCloseable {

    /** The longest {@link #slice}. */
    public static final int MAX_SLICE = 1 << 28;

    /** Where one of the {@link #windows} begins after another. */
    public static final long STRIDE = 1L << 30;

    private static final int SCAN = 1 << 20;

    private final MappedByteBuffer[] windows;
    private final long[] addresses;
    private final List<ByteBuffer> windowList;
    private final long length;
    private final Runnable onClose;
    private final AtomicBoolean closed = new AtomicBoolean();

    private MappedFile(MappedByteBuffer[] windows, long length) {
        this.windows = windows;
        this.addresses = Arrays.stream(windows).mapToLong(Memory::addressOf).toArray();
        this.windowList = List.of(windows);
        this.length = length;
        this.onClose = this::unmap;
    }

    private MappedFile(MappedFile shared, long length, Runnable onClose) {
        this.windows = shared.windows;
        this.addresses = shared.addresses;
        this.windowList = shared.windowList;
        this.length = length;
        this.onClose = onClose;
    }

    /** The first bytes of this mapping, which somebody else unmaps. */
    MappedFile share(long bytes, Runnable whenClosed) {
        return new MappedFile(this, bytes, whenClosed);
    }

    /**
     * Maps a payload.
     *
     * @throws RejectedException PAYLOAD_LOST when the file is gone or too short
     */
    public static MappedFile open(PayloadRef payload) {
        return open(payload, Path.of(payload.path()));
    }

    /** The same by a path that leads to its file now. */
    static MappedFile open(PayloadRef payload, Path opened) {
        try (FileChannel channel = FileChannel.open(opened, StandardOpenOption.READ)) {
            if (channel.size() < payload.offset() + payload.length()) {
                throw new RejectedException(
                        RejectReason.PAYLOAD_LOST,
                        "%s has %d bytes, expected %d; it was truncated"
                                .formatted(
                                        payload.path(),
                                        channel.size(),
                                        payload.offset() + payload.length()));
            }
            return map(channel, FileChannel.MapMode.READ_ONLY, payload.offset(), payload.length());
        } catch (IOException e) {
            throw new RejectedException(
                    RejectReason.PAYLOAD_LOST,
                    "%s cannot be mapped: %s".formatted(payload.path(), e));
        }
    }

    static MappedFile map(FileChannel channel, FileChannel.MapMode mode, long offset, long length)
            throws IOException {
        // A ByteBuffer ends at 2 GiB. Windows overlap, so that any slice lies within one.
        int count = (int) ((length + STRIDE - 1) / STRIDE);
        MappedByteBuffer[] windows = new MappedByteBuffer[count];
        for (int i = 0; i < count; i++) {
            long at = i * STRIDE;
            long size = Math.min(STRIDE + MAX_SLICE, length - at);
            windows[i] = channel.map(mode, offset + at, size);
            windows[i].order(ByteOrder.LITTLE_ENDIAN);
        }
        return new MappedFile(windows, length);
    }

    @Override
    public long length() {
        return length;
    }

    @Override
    public long address(long offset) {
        return addresses[(int) (offset / STRIDE)] + offset % STRIDE;
    }

    @Override
    public ByteBuffer slice(long offset, int count) {
        if (offset < 0 || count < 0 || count > MAX_SLICE || offset + count > length) {
            throw new IndexOutOfBoundsException(
                    "%d bytes at %d of %d".formatted(count, offset, length));
        }
        if (count == 0) {
            return ByteBuffer.allocate(0).order(ByteOrder.LITTLE_ENDIAN);
        }
        int window = (int) (offset / STRIDE);
        return windows[window]
                .slice((int) (offset - window * STRIDE), count)
                .order(ByteOrder.LITTLE_ENDIAN);
    }

    /** CRC32C of all bytes. */
    public int crc32c() {
        CRC32C crc = new CRC32C();
        for (long at = 0; at < length; at += SCAN) {
            crc.update(slice(at, (int) Math.min(SCAN, length - at)));
        }
        return (int) crc.getValue();
    }

    /** The mapping in pieces of at most {@link #STRIDE} plus {@link #MAX_SLICE} bytes. */
    public List<ByteBuffer> windows() {
        return windowList;
    }

    @Override
    public void close() {
        if (closed.compareAndSet(false, true)) {
            onClose.run();
        }
    }

    private void unmap() {
        for (int i = 0; i < windows.length; i++) {
            Unmapper.unmap(windows[i]);
            windows[i] = null;
        }
    }
}
