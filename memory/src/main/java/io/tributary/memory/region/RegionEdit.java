// SPDX-License-Identifier: Apache-2.0

package io.tributary.memory.region;

import io.tributary.memory.os.FileBelow;
import io.tributary.memory.region.RegionLayout.State;
import io.tributary.protocol.RejectReason;
import io.tributary.protocol.RejectedException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.MappedByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;

/**
 * A change of a region that is READY: while it lasts the region is WRITING and in its next
 * generation, so a reader notices it. A change that is not committed leaves it so, since what is in
 * it is neither the old nor the new. For one thread.
 */
public final class RegionEdit implements AutoCloseable {

    private final MappedByteBuffer header;
    private final MappedFile payload;
    private final int generation;
    private boolean closed;

    private RegionEdit(MappedByteBuffer header, MappedFile payload, int generation) {
        this.header = header;
        this.payload = payload;
        List<ByteBuffer> watched = new ArrayList<>();
        try {
            for (ByteBuffer window : payload.windows()) {
                RegionMappings.watch(window);
                watched.add(window);
            }
        } catch (RejectedException e) {
            watched.forEach(RegionMappings::unwatch);
            payload.close();
            throw e;
        }
        this.generation = generation;
    }

    /**
     * Begins to change a region.
     *
     * @param file the region
     * @param generation in which it is; of several who try at once only one succeeds
     * @throws RejectedException PAYLOAD_LOST when it is in another
     */
    public static RegionEdit begin(FileBelow file, int generation) throws IOException {
        RegionHeader found = RegionHeader.read(file);
        RegionMappings.requirePossible(file, found.capacity());
        try (FileChannel channel =
                FileChannel.open(file.path(), StandardOpenOption.READ, StandardOpenOption.WRITE)) {
            MappedByteBuffer header =
                    channel.map(FileChannel.MapMode.READ_WRITE, 0, RegionLayout.PAYLOAD_OFFSET);
            header.order(java.nio.ByteOrder.LITTLE_ENDIAN);
            long next = RegionLayout.word(State.WRITING, generation + 1);
            boolean begun = false;
            boolean watched = false;
            try {
                RegionMappings.watch(header);
                watched = true;
                if (!change(header, State.READY, generation, next)
                        && !change(header, State.WRITING, generation, next)) {
                    throw new RejectedException(
                            RejectReason.PAYLOAD_LOST,
                            "region %s: expected generation %d, it is in generation %d, %s"
                                    .formatted(
                                            file.named(),
                                            generation,
                                            found.generation(),
                                            found.state()));
                }
                RegionEdit edit =
                        new RegionEdit(
                                header,
                                MappedFile.map(
                                        channel,
                                        FileChannel.MapMode.READ_WRITE,
                                        RegionLayout.PAYLOAD_OFFSET,
                                        found.payloadLength()),
                                generation + 1);
                begun = true;
                return edit;
            } finally {
                if (!begun) {
                    if (watched) {
                        RegionMappings.unwatch(header);
                    }
                    Unmapper.unmap(header);
                }
            }
        }
    }

    private static boolean change(MappedByteBuffer header, State from, int generation, long to) {
        return RegionLayout.WORD.compareAndSet(
                header, RegionLayout.STATE_OFFSET, RegionLayout.word(from, generation), to);
    }

    /** The payload's memory, to be written. */
    public MappedFile memory() {
        return payload;
    }

    /** Makes the region READY again. Its checksum, if it had one, is gone. */
    public int commit() {
        header.putInt(
                RegionLayout.FLAGS_OFFSET,
                header.getInt(RegionLayout.FLAGS_OFFSET) & ~RegionLayout.HAS_CHECKSUM);
        RegionLayout.WORD.setRelease(
                header, RegionLayout.STATE_OFFSET, RegionLayout.word(State.READY, generation));
        return generation;
    }

    @Override
    public void close() {
        if (!closed) {
            closed = true;
            payload.windows().forEach(RegionMappings::unwatch);
            payload.close();
            RegionMappings.unwatch(header);
            Unmapper.unmap(header);
        }
    }
}
