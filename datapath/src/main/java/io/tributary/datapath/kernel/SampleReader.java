// SPDX-License-Identifier: Apache-2.0

package io.tributary.datapath.kernel;

import com.sun.jna.Native;
import com.sun.jna.Pointer;
import io.tributary.memory.os.LibC;
import io.tributary.node.bpf.BpfObject;
import java.io.IOException;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.function.Consumer;

/**
 * Reads what connections say from the kernel's ring, in mapped memory. The kernel wakes nobody: who
 * reads looks now and then. There is one reader at a time. Not thread-safe.
 */
public final class SampleReader implements AutoCloseable {

    private static final int PAGE = LibC.INSTANCE.getpagesize();

    /** Two numbers with that stand before each record: its length with two flags, and an offset. */
    private static final int HEADER_BYTES = 8;

    private static final int BUSY = 1 << 31;
    private static final int DISCARDED = 1 << 30;

    /**
     * RING_BYTES of bpf/policy.h, a power of two. The ring is mapped twice, one behind the other.
     */
    private static final int RING_BYTES = 1 << 20;

    private static final VarHandle LONG =
            MethodHandles.byteBufferViewVarHandle(long[].class, ByteOrder.nativeOrder());
    private static final VarHandle INT =
            MethodHandles.byteBufferViewVarHandle(int[].class, ByteOrder.nativeOrder());

    private final Path directory;
    private final int lock;
    private final Pointer consumer;
    private final Pointer producer;
    private final ByteBuffer read;
    private final ByteBuffer written;
    private final Choice choice;

    private SampleReader(
            Path directory, int lock, Pointer consumer, Pointer producer, Choice choice) {
        this.directory = directory;
        this.lock = lock;
        this.consumer = consumer;
        this.producer = producer;
        this.choice = choice;
        this.read = consumer.getByteBuffer(0, PAGE).order(ByteOrder.nativeOrder());
        this.written =
                producer.getByteBuffer(0, PAGE + 2L * RING_BYTES).order(ByteOrder.nativeOrder());
    }

    /**
     * Opens the ring.
     *
     * @param directory where networks are pinned
     * @throws IllegalArgumentException when nothing is, or somebody else reads
     */
    public static SampleReader open(Path directory) throws IOException {
        PinDirectory.requireLoaded(directory);
        int lock = LibC.INSTANCE.open(directory.toString(), LibC.O_DIRECTORY | LibC.O_CLOEXEC, 0);
        BpfObject.check(
                "%s cannot be opened".formatted(directory),
                lock < 0 ? -Native.getLastError() : lock);
        if (LibC.INSTANCE.flock(lock, LibC.LOCK_EX | LibC.LOCK_NB) != 0) {
            LibC.INSTANCE.close(lock);
            throw new IllegalArgumentException(
                    "another process reads the samples of %s".formatted(directory));
        }
        try (Pins pins = new Pins(directory)) {
            int ring = pins.map(PolicyProgram.SAMPLES, 0, RING_BYTES);
            int choices = pins.map(PolicyProgram.CHOICES, Choice.VALUE_BYTES, 1);
            return new SampleReader(
                    directory,
                    lock,
                    Pins.mapped(ring, 0, PAGE, LibC.PROT_READ_WRITE),
                    Pins.mapped(ring, PAGE, PAGE + 2L * RING_BYTES, LibC.PROT_READ),
                    Choice.of(choices));
        } catch (IOException | RuntimeException e) {
            LibC.INSTANCE.close(lock);
            throw e;
        }
    }

    /**
     * Takes what is there, the oldest first.
     *
     * @return how many there were
     */
    public int poll(Consumer<Sample> each) {
        int count = 0;
        long at = (long) LONG.getAcquire(read, 0);
        long end = (long) LONG.getAcquire(written, 0);
        while (at < end) {
            int place = PAGE + (int) (at & RING_BYTES - 1);
            int length = (int) INT.getAcquire(written, place);
            if ((length & BUSY) != 0) {
                break;
            }
            if ((length & DISCARDED) == 0) {
                each.accept(Sample.read(written, place + HEADER_BYTES));
                count++;
            }
            at += (length & ~DISCARDED) + HEADER_BYTES + 7 & ~7;
            LONG.setRelease(read, 0, at);
        }
        return count;
    }

    /** Whether the program is still loaded; without it, nothing comes any more. */
    public boolean live() {
        return Files.exists(directory.resolve(PolicyProgram.SAMPLES));
    }

    /** For how many samples there was no room, since the program was loaded. */
    public long lost() {
        return choice.lost();
    }

    @Override
    public void close() {
        choice.close();
        LibC.INSTANCE.munmap(consumer, PAGE);
        LibC.INSTANCE.munmap(producer, PAGE + 2L * RING_BYTES);
        LibC.INSTANCE.close(lock);
    }
}
