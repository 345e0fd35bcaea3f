// SPDX-License-Identifier: Apache-2.0

package io.tributary.shm.node;

import com.fasterxml.jackson.databind.JsonNode;
import io.tributary.protocol.Json;
import io.tributary.protocol.RejectedException;
import io.tributary.protocol.message.PayloadRef;
import io.tributary.protocol.message.RegionRef;
import io.tributary.shm.region.MappedFile;
import io.tributary.shm.region.OwnedRegion;
import io.tributary.shm.region.RegionDirectory;
import io.tributary.shm.region.RegionEdit;
import io.tributary.shm.region.RegionHeader;
import io.tributary.shm.region.RegionLayout;
import io.tributary.shm.region.RegionMappings;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermission;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.zip.CRC32C;

/**
 * This node's own regions. Who has made one by this node owns it; other regions belong to the user
 * whose file they are. Owners write, free and grant; whom they have granted it, and a file's group
 * where its permissions say so, reads; root may all. Grants last as long as the node. Thread-safe.
 */
final class RegionShelf {

    /**
     * Pieces end where offsets are multiples of it; each has a checksum. Whoever wants a shard gets
     * at most two of them too much.
     */
    static final int PIECE_BYTES = 1 << 16;

    private final String node;
    private final Path root;
    private final Rates rates;
    private final Map<String, Set<Reader>> readers = new ConcurrentHashMap<>();
    private final UserGroups groups = new UserGroups();

    /**
     * Who may read what is not theirs.
     *
     * @param id of a user or of a group
     */
    record Reader(int id, boolean group) {}

    RegionShelf(String node, Path root, Rates rates) {
        this.node = node;
        this.root = root;
        this.rates = rates;
    }

    private Path file(String name) {
        return root.resolve(name + RegionDirectory.SUFFIX);
    }

    /** A path that does not leave the region directory, whatever links there are. */
    private Path requireBelow(Path file) throws NodeRefusedException {
        try {
            if (file.toRealPath().startsWith(root.toRealPath())) {
                return file;
            }
            throw new NodeRefusedException("%s leads out of the region directory".formatted(file));
        } catch (NodeRefusedException e) {
            throw e;
        } catch (IOException e) {
            throw new NodeRefusedException("%s cannot be read: %s".formatted(file, e));
        }
    }

    private static RegionHeader header(Path file) throws NodeRefusedException {
        try {
            return RegionHeader.read(file);
        } catch (RejectedException e) {
            throw new NodeRefusedException(e.getMessage());
        }
    }

    /** The region of a name. */
    RegionInfo find(int user, String name) throws NodeRefusedException {
        Path file = requireReader(user, name);
        return info(name, file, header(file));
    }

    private RegionInfo info(String name, Path file, RegionHeader header)
            throws NodeRefusedException {
        return new RegionInfo(
                new RegionRef(node, name, header.tenure(), 0, header.payloadLength()),
                header.state(),
                identity(file, header));
    }

    /** What tells a region apart from a later one of its name. */
    private static String identity(Path file, RegionHeader header) throws NodeRefusedException {
        try {
            return "%s-%d-%d"
                    .formatted(
                            Files.getAttribute(file, "unix:ino"),
                            header.owner().pid(),
                            header.owner().startMillis());
        } catch (IOException e) {
            throw new NodeRefusedException("%s cannot be read: %s".formatted(file, e));
        }
    }

    /** All regions whose names begin so and that the user may read. */
    List<RegionInfo> list(int user, String prefix) {
        List<RegionInfo> all = new ArrayList<>();
        for (Path file : RegionDirectory.list(root)) {
            String path = root.relativize(file).toString();
            String name = path.substring(0, path.length() - RegionDirectory.SUFFIX.length());
            if (name.startsWith(prefix)) {
                try {
                    all.add(find(user, name));
                } catch (NodeRefusedException | RejectedException e) {
                    // Released meanwhile, not for this user, or nothing that could be asked for.
                }
            }
        }
        return all;
    }

    /**
     * Sends a range: an answer, then its bytes, then the CRC32C of each piece, then an answer that
     * says whether the region was the same all the while.
     *
     * @param identity as it was found
     * @throws NodeRefusedException before anything is sent
     */
    void send(int user, RegionRef ref, String identity, NodeChannel channel) throws IOException {
        Path file = requireReader(user, ref.name());
        RegionHeader header = requireReadable(ref, identity, file);
        try (FileChannel bytes = FileChannel.open(file, StandardOpenOption.READ);
                MappedFile mapped = RegionMappings.acquire(header.payload(file))) {
            channel.send(NodeAnswer.of(ref));
            List<RegionRef> pieces = ref.pieces(PIECE_BYTES);
            ByteBuffer checksums =
                    ByteBuffer.allocate(Integer.BYTES * pieces.size())
                            .order(ByteOrder.LITTLE_ENDIAN);
            for (RegionRef piece : pieces) {
                CRC32C crc = new CRC32C();
                crc.update(mapped.slice(piece.offset(), (int) piece.length()));
                checksums.putInt((int) crc.getValue());
                for (RegionRef part : rates.parts(piece)) {
                    rates.take(part);
                    channel.write(
                            bytes, RegionLayout.PAYLOAD_OFFSET + part.offset(), part.length());
                }
            }
            channel.write(checksums.flip());
        }
        NodeAnswer end = NodeAnswer.of(ref);
        try {
            requireReadable(ref, identity, file);
        } catch (NodeRefusedException e) {
            end = NodeAnswer.refused("it changed while it was read: " + e.getMessage());
        }
        channel.send(end);
    }

    /**
     * Where a range lies.
     *
     * @throws NodeRefusedException when it is not there to be read
     */
    PayloadRef readable(int user, RegionRef ref) throws NodeRefusedException {
        Path file = requireReader(user, ref.name());
        RegionHeader header = header(file);
        info(ref.name(), file, header).requireReadable(ref);
        return header.payload(file);
    }

    /** Makes a region of zeros, READY. */
    RegionInfo allocate(int user, String name, long length) throws IOException {
        // A name that is none is refused before it becomes a path.
        new RegionRef(node, name, 1, 0, length);
        Path file = file(name);
        if (Files.exists(file)) {
            throw new NodeRefusedException(
                    "region %s on %s is there already".formatted(name, node));
        }
        Optional<OwnedRegion> made = new RegionDirectory(root, Long.MAX_VALUE).own(name, length);
        if (made.isEmpty()) {
            throw new NodeRefusedException(
                    "region %s on %s: no room for its %d bytes".formatted(name, node, length));
        }
        try (OwnedRegion region = made.get()) {
            region.publish(new String(Json.encode(new Owned(user)), StandardCharsets.UTF_8));
        }
        return find(user, name);
    }

    /** In the description of a region that was made here. */
    private record Owned(int owner) {}

    /**
     * Writes a range: an answer, then the bytes come, then an answer with the reference of what is
     * there now.
     *
     * @throws NodeRefusedException before any byte is taken
     */
    void write(int user, RegionRef ref, NodeChannel channel) throws IOException {
        Path file = requireOwner(user, ref.name());
        info(ref.name(), file, header(file)).requireWithin(ref);
        try (RegionEdit edit = RegionEdit.begin(file, ref.tenure())) {
            channel.send(NodeAnswer.of(ref));
            for (RegionRef piece : ref.pieces(PIECE_BYTES)) {
                channel.read(edit.memory().slice(piece.offset(), (int) piece.length()));
            }
            channel.send(
                    NodeAnswer.of(
                            new RegionRef(
                                    node, ref.name(), edit.commit(), ref.offset(), ref.length())));
        } catch (RejectedException e) {
            throw new NodeRefusedException(e.getMessage());
        }
    }

    /** Deletes a region in this tenure. */
    void free(int user, RegionRef ref) throws IOException {
        Path file = requireOwner(user, ref.name());
        requireTenure(ref, header(file));
        Files.deleteIfExists(file);
        readers.remove(ref.name());
    }

    /** Releases a region in this tenure; one that is released already stays so. */
    void giveBack(int user, RegionRef ref) throws NodeRefusedException {
        Path file = requireOwner(user, ref.name());
        RegionHeader header = header(file);
        requireTenure(ref, header);
        RegionDirectory.release(header.payload(file));
    }

    /** Lets somebody read a region. */
    void grant(int user, RegionRef ref, Reader reader) throws NodeRefusedException {
        requireOwner(user, ref.name());
        readers.computeIfAbsent(ref.name(), name -> ConcurrentHashMap.newKeySet()).add(reader);
    }

    private Path requireReader(int user, String name) throws NodeRefusedException {
        Path file = requireName(name);
        boolean granted =
                readers.getOrDefault(name, Set.of()).stream()
                        .anyMatch(
                                r -> r.group() ? groups.of(user).contains(r.id()) : r.id() == user);
        if (!owns(user, file) && !granted && !groupMayRead(user, file)) {
            throw new NodeRefusedException(
                    "region %s on %s: user %d may not read it; its owner may grant it"
                            .formatted(name, node, user));
        }
        return file;
    }

    /** By the file's own permissions. */
    private boolean groupMayRead(int user, Path file) throws NodeRefusedException {
        try {
            return Files.getPosixFilePermissions(file).contains(PosixFilePermission.GROUP_READ)
                    && groups.of(user).contains((int) Files.getAttribute(file, "unix:gid"));
        } catch (IOException e) {
            throw new NodeRefusedException("%s cannot be read: %s".formatted(file, e));
        }
    }

    private Path requireOwner(int user, String name) throws NodeRefusedException {
        Path file = requireName(name);
        if (!owns(user, file)) {
            throw new NodeRefusedException(
                    "region %s on %s: user %d is not its owner".formatted(name, node, user));
        }
        return file;
    }

    private Path requireName(String name) throws NodeRefusedException {
        // A name that is none is refused before it becomes a path.
        new RegionRef(node, name, 1, 0, 0);
        Path file = file(name);
        if (!Files.exists(file)) {
            throw new NodeRefusedException("there is no region %s on %s".formatted(name, node));
        }
        return requireBelow(file);
    }

    private static boolean owns(int user, Path file) throws NodeRefusedException {
        if (user == 0) {
            return true;
        }
        try {
            JsonNode owner =
                    Json.tree(header(file).description().getBytes(StandardCharsets.UTF_8))
                            .path("owner");
            return user
                    == (owner.isInt() ? owner.asInt() : (int) Files.getAttribute(file, "unix:uid"));
        } catch (RejectedException | IOException e) {
            throw new NodeRefusedException(e.getMessage());
        }
    }

    private static void requireTenure(RegionRef ref, RegionHeader header)
            throws NodeRefusedException {
        if (header.tenure() != ref.tenure()) {
            throw new NodeRefusedException(
                    "region %s on %s: expected tenure %d, it is in tenure %d"
                            .formatted(ref.name(), ref.node(), ref.tenure(), header.tenure()));
        }
    }

    private RegionHeader requireReadable(RegionRef ref, String identity, Path file)
            throws NodeRefusedException {
        RegionHeader header = header(file);
        RegionInfo info = info(ref.name(), file, header);
        info.requireReadable(ref);
        if (!info.identity().equals(identity)) {
            throw new NodeRefusedException(
                    "region %s on %s is another than it was".formatted(ref.name(), ref.node()));
        }
        return header;
    }
}
