// SPDX-License-Identifier: Apache-2.0

package io.tributary.shm.node;

import io.tributary.protocol.RejectedException;
import io.tributary.protocol.message.RegionRef;
import io.tributary.shm.region.MappedFile;
import io.tributary.shm.region.RegionDirectory;
import io.tributary.shm.region.RegionHeader;
import io.tributary.shm.region.RegionLayout;
import io.tributary.shm.region.RegionLayout.State;
import io.tributary.shm.region.RegionMappings;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.zip.CRC32C;

/** This node's own regions, for others to find and to read. Thread-safe. */
final class RegionShelf {

    /** Pieces end where offsets are multiples of it; each has a checksum. */
    static final int PIECE_BYTES = 1 << 20;

    private final String node;
    private final Path root;
    private final Rates rates;

    RegionShelf(String node, Path root, Rates rates) {
        this.node = node;
        this.root = root;
        this.rates = rates;
    }

    private Path file(String name) {
        return root.resolve(name + RegionDirectory.SUFFIX);
    }

    private static RegionHeader header(Path file) throws NodeRefusedException {
        try {
            return RegionHeader.read(file);
        } catch (RejectedException e) {
            throw new NodeRefusedException(e.getMessage());
        }
    }

    /** The region of a name. */
    RegionInfo find(String name) throws NodeRefusedException {
        // Checks the name, before it becomes a path.
        new RegionRef(node, name, 1, 0, 0);
        RegionHeader header = header(file(name));
        return new RegionInfo(
                new RegionRef(node, name, header.tenure(), 0, header.payloadLength()),
                header.state());
    }

    /** All regions whose names begin so. */
    List<RegionInfo> list(String prefix) {
        List<RegionInfo> all = new ArrayList<>();
        for (Path file : RegionDirectory.list(root)) {
            String path = root.relativize(file).toString();
            String name = path.substring(0, path.length() - RegionDirectory.SUFFIX.length());
            if (name.startsWith(prefix)) {
                try {
                    all.add(find(name));
                } catch (NodeRefusedException | RejectedException e) {
                    // Released meanwhile, or nothing that could be asked for.
                }
            }
        }
        return all;
    }

    /**
     * Sends a range: an answer, then each piece with its CRC32C, then an answer that says whether
     * the region was the same all the while.
     *
     * @throws NodeRefusedException before anything is sent
     */
    void send(RegionRef ref, NodeChannel channel) throws IOException {
        Path file = file(ref.name());
        RegionHeader header = requireReadable(ref, file);
        try (FileChannel bytes = FileChannel.open(file, StandardOpenOption.READ);
                MappedFile mapped = RegionMappings.acquire(header.payload(file))) {
            channel.send(NodeAnswer.of(ref));
            ByteBuffer checksum = ByteBuffer.allocate(Integer.BYTES).order(ByteOrder.LITTLE_ENDIAN);
            for (RegionRef piece : ref.pieces(PIECE_BYTES)) {
                rates.take(ref, (int) piece.length());
                CRC32C crc = new CRC32C();
                crc.update(mapped.slice(piece.offset(), (int) piece.length()));
                channel.write(bytes, RegionLayout.PAYLOAD_OFFSET + piece.offset(), piece.length());
                channel.write(checksum.clear().putInt((int) crc.getValue()).flip());
            }
        }
        NodeAnswer end = NodeAnswer.of(ref);
        try {
            requireReadable(ref, file);
        } catch (NodeRefusedException e) {
            end = NodeAnswer.refused("it changed while it was read: " + e.getMessage());
        }
        channel.send(end);
    }

    /**
     * @throws NodeRefusedException when the range is not there to be read
     */
    void requireReadable(RegionRef ref) throws NodeRefusedException {
        requireReadable(ref, file(ref.name()));
    }

    private static RegionHeader requireReadable(RegionRef ref, Path file)
            throws NodeRefusedException {
        RegionHeader header = header(file);
        if (header.tenure() != ref.tenure() || header.state() != State.READY) {
            throw new NodeRefusedException(
                    "region %s on %s: expected tenure %d, READY, it is in tenure %d, %s"
                            .formatted(
                                    ref.name(),
                                    ref.node(),
                                    ref.tenure(),
                                    header.tenure(),
                                    header.state()));
        }
        if (ref.end() > header.payloadLength()) {
            throw new NodeRefusedException(
                    "region %s on %s: expected a range within its %d bytes, got %d at %d"
                            .formatted(
                                    ref.name(),
                                    ref.node(),
                                    header.payloadLength(),
                                    ref.length(),
                                    ref.offset()));
        }
        return header;
    }
}
