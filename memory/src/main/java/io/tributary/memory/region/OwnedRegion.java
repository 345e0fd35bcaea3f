// SPDX-License-Identifier: Apache-2.0

package io.tributary.memory.region;

import io.tributary.memory.os.Descriptors;
import io.tributary.memory.os.LibC;
import io.tributary.memory.region.RegionLayout.State;
import io.tributary.protocol.message.PayloadRef;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.MappedByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.util.OptionalInt;

/**
 * A region that its owner writes in place, through a mapping, and takes back after each release:
 * memory that has been touched once is several times faster than fresh memory. All of it is
 * reserved when it is made, so writing to it cannot find the file system full.
 *
 * <p>WRITING and its contents belong to one thread; what others may see of it is its state.
 */
public final class OwnedRegion implements AutoCloseable {

    private final Path file;
    private final long capacity;
    private final Owner owner;
    private final MappedByteBuffer header;
    private final MappedFile payload;
    private final boolean lent;
    private int generation = 1;
    private long length;
    private boolean closed;

    private OwnedRegion(
            Path file,
            long capacity,
            Owner owner,
            MappedByteBuffer header,
            MappedFile payload,
            boolean lent) {
        this.file = file;
        this.capacity = capacity;
        this.owner = owner;
        this.header = header;
        this.payload = payload;
        this.lent = lent;
        this.length = capacity;
    }

    /** Makes a region in WRITING, its payload all zero. */
    public static OwnedRegion create(Path file, long length, Owner owner) throws IOException {
        return create(file, length, owner, false, RegionFiles::fill);
    }

    /**
     * The same for a region views of whose memory are handed to somebody who may keep them: it is
     * unmapped when the garbage collector finds that nobody has one any more.
     */
    static OwnedRegion lent(Path file, long length, Owner owner) throws IOException {
        return create(file, length, owner, true, RegionFiles::fill);
    }

    /**
     * The same without reserving memory: what is not written to takes none. Writing to its memory
     * by other means than reading into it from a channel ends the process where there is no room.
     */
    public static OwnedRegion sparse(Path file, long length) throws IOException {
        RegionDirectory.create(file.getParent());
        return create(
                file,
                length,
                Owner.self(file.getParent()),
                false,
                (channel, at, bytes) -> {
                    if (bytes > 0) {
                        RegionFiles.write(channel, ByteBuffer.allocate(1), at + bytes - 1);
                    }
                });
    }

    private static OwnedRegion create(
            Path file, long length, Owner owner, boolean lent, RegionFiles.Filling filling)
            throws IOException {
        Path part = RegionFiles.part(file);
        try (FileChannel channel = RegionFiles.create(part)) {
            RegionHeader first =
                    describe(owner, State.WRITING, 1, length, length, Content.UNKNOWN, "{}");
            RegionFiles.write(channel, first.page(), 0);
            filling.fill(channel, RegionLayout.PAYLOAD_OFFSET, length);
            if (!Descriptors.rename(part, file)) {
                throw new FileAlreadyExistsException(file.toString());
            }
            MappedByteBuffer header =
                    channel.map(FileChannel.MapMode.READ_WRITE, 0, RegionLayout.PAYLOAD_OFFSET);
            header.order(ByteOrder.LITTLE_ENDIAN);
            return new OwnedRegion(
                    file,
                    length,
                    owner,
                    header,
                    MappedFile.map(
                            channel,
                            FileChannel.MapMode.READ_WRITE,
                            RegionLayout.PAYLOAD_OFFSET,
                            length),
                    lent);
        } catch (IOException e) {
            Files.deleteIfExists(part);
            throw e;
        }
    }

    private static RegionHeader describe(
            Owner owner,
            State state,
            int generation,
            long length,
            long capacity,
            Content content,
            String description) {
        return new RegionHeader(
                true,
                state,
                generation,
                length,
                content.crc32c(),
                content.finite(),
                owner,
                capacity,
                description);
    }

    /** The file. */
    public Path file() {
        return file;
    }

    /** Bytes reserved for payloads. */
    public long capacity() {
        return capacity;
    }

    /** Whether it is its owner's no more. */
    public boolean closed() {
        return closed;
    }

    /** The payload's memory, to be written in WRITING. */
    public MappedFile memory() {
        return payload;
    }

    /** The payload, in this generation. */
    public PayloadRef payload() {
        return new PayloadRef(file.toString(), RegionLayout.PAYLOAD_OFFSET, length, generation);
    }

    /**
     * What is known of a payload.
     *
     * @param crc32c its checksum, if somebody has computed it
     * @param finite whether all its values are known to be finite
     */
    public record Content(OptionalInt crc32c, boolean finite) {

        static final Content UNKNOWN = new Content(OptionalInt.empty(), false);
    }

    /**
     * Makes the region READY. It has no checksum: the payload has not moved since it was written,
     * and reading all of it once more would cost as much as folding it.
     *
     * @param description JSON that says what it is
     */
    public void publish(String description) {
        publish(Content.UNKNOWN, description);
    }

    /**
     * The same for a payload of which something is known.
     *
     * @param content what
     */
    public void publish(Content content, String description) {
        ByteBuffer page =
                describe(owner, State.WRITING, generation, length, capacity, content, description)
                        .page();
        header.put(0, page.array(), 0, page.capacity());
        touch();
        become(State.READY);
    }

    /** Writing through a mapping does not show in the file's time, by which its age is known. */
    private void touch() {
        try {
            Files.setLastModifiedTime(file, FileTime.fromMillis(System.currentTimeMillis()));
        } catch (NoSuchFileException expected) {
            // Removed from under its owner, which will be told that nobody has found it.
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Whether it has not been published in this generation. */
    public boolean writing() {
        return (long) RegionLayout.WORD.getAcquire(header, RegionLayout.STATE_OFFSET)
                == RegionLayout.word(State.WRITING, generation);
    }

    /** Whether whoever read it has released it. */
    public boolean released() {
        return (long) RegionLayout.WORD.getAcquire(header, RegionLayout.STATE_OFFSET)
                == RegionLayout.word(State.RELEASED, generation);
    }

    /** Changes the state, in this generation. */
    void become(State state) {
        RegionLayout.WORD.setRelease(
                header, RegionLayout.STATE_OFFSET, RegionLayout.word(state, generation));
    }

    /** Begins to write anew, a payload of {@code newLength} ≤ capacity; what was in it stays. */
    public void reuse(long newLength) {
        generation++;
        length = newLength;
        ByteBuffer page =
                describe(owner, State.WRITING, generation, length, capacity, Content.UNKNOWN, "{}")
                        .page();
        header.put(0, page.array(), 0, page.capacity());
    }

    /** Unmaps it and deletes the file; others that have it mapped are not disturbed. */
    public void delete() {
        if (closed) {
            return;
        }
        close();
        RegionDirectory.delete(file);
    }

    /**
     * The same where others need the memory now: views of it that somebody keeps are of nothing but
     * zeros from then on. Without this they would hold it until the garbage collector finds that
     * nobody keeps one.
     */
    public void giveUp() {
        if (closed) {
            return;
        }
        int fd =
                LibC.INSTANCE.open(
                        file.toString(), LibC.O_RDWR | LibC.O_NOFOLLOW | LibC.O_CLOEXEC, 0);
        if (fd >= 0) {
            // Where the file system cannot do that, it takes longer.
            LibC.INSTANCE.fallocate(
                    fd, LibC.FALLOC_FL_PUNCH_HOLE_KEEP_SIZE, RegionLayout.PAYLOAD_OFFSET, capacity);
            LibC.INSTANCE.close(fd);
        }
        delete();
    }

    /** Unmaps it, and leaves the file to whoever has still to read it, who then deletes it. */
    public void abandon() {
        if (closed) {
            return;
        }
        // Its checksum, if it has one, stays: whoever claims it again is held against it.
        header.putInt(
                RegionLayout.FLAGS_OFFSET,
                header.getInt(RegionLayout.FLAGS_OFFSET) & ~RegionLayout.OWNER_TAKES_BACK);
        if (released() || writing()) {
            delete();
        } else {
            close();
        }
    }

    /** Unmaps it; the file stays until it is released and reaped. */
    @Override
    public void close() {
        if (closed) {
            return;
        }
        closed = true;
        if (!lent) {
            payload.close();
        }
        Unmapper.unmap(header);
    }
}
