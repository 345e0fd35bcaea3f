// SPDX-License-Identifier: Apache-2.0

package io.tributary.node;

import com.fasterxml.jackson.databind.JsonNode;
import io.tributary.memory.os.DirectoryBelow;
import io.tributary.memory.os.FileBelow;
import io.tributary.memory.region.MappedFile;
import io.tributary.memory.region.OwnedRegion;
import io.tributary.memory.region.Owner;
import io.tributary.memory.region.RegionDirectory;
import io.tributary.memory.region.RegionEdit;
import io.tributary.memory.region.RegionHeader;
import io.tributary.memory.region.RegionLayout;
import io.tributary.memory.region.RegionMappings;
import io.tributary.memory.region.TrustedDirectory;
import io.tributary.protocol.Json;
import io.tributary.protocol.RejectedException;
import io.tributary.protocol.message.PayloadRef;
import io.tributary.protocol.message.RegionRef;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.zip.CRC32C;

/**
 * This node's own regions. A user that made one through this node owns it; other regions belong to
 * the user whose file they are. Owners write, free and grant; whom they have granted it, and a
 * file's group where its permissions say so, reads; root may all. Grants last as long as the node.
 * Thread-safe.
 */
final class LocalRegionStore {

    /**
     * Pieces end where offsets are multiples of it; each has a checksum. A reader that wants a
     * shard gets at most two of them too much.
     */
    static final int PIECE_BYTES = 1 << 16;

    private static final int ROOT = 0;
    private static final int GROUP_READS = 040;

    private final String node;
    private final Path root;
    private final RateLimiter limiter;
    private final Map<String, Set<Reader>> readers = new ConcurrentHashMap<>();
    private final UserGroups groups = new UserGroups();

    /**
     * Who may read what is not theirs.
     *
     * @param id of a user or of a group
     */
    record Reader(int id, boolean group) {}

    LocalRegionStore(String node, Path root, RateLimiter limiter) {
        this.node = node;
        this.root = root;
        this.limiter = limiter;
    }

    private static Path relative(String name) {
        return Path.of(name + RegionDirectory.SUFFIX);
    }

    private FileBelow file(String name) throws NodeRejectedException {
        // A name that is none is rejected before it becomes a path.
        new RegionRef(node, name, 1, 0, 0);
        Optional<FileBelow> file;
        try {
            file = FileBelow.open(root, relative(name));
        } catch (IOException e) {
            throw new NodeRejectedException(e.getMessage());
        }
        return file.orElseThrow(
                () ->
                        new NodeRejectedException(
                                "there is no region %s on %s".formatted(name, node)));
    }

    private static RegionHeader header(FileBelow file) throws NodeRejectedException {
        try {
            return RegionHeader.read(file);
        } catch (RejectedException e) {
            throw new NodeRejectedException(e.getMessage());
        }
    }

    /** The region of a name. */
    RegionInfo find(int user, String name) throws NodeRejectedException {
        try (FileBelow file = readable(user, name)) {
            return info(name, file, header(file));
        }
    }

    private RegionInfo info(String name, FileBelow file, RegionHeader header) {
        return new RegionInfo(
                new RegionRef(node, name, header.generation(), 0, header.payloadLength()),
                header.state(),
                identity(file, header));
    }

    /** What tells a region apart from a later one of its name. */
    private static String identity(FileBelow file, RegionHeader header) {
        return "%s-%s".formatted(file.inode(), header.owner().process());
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
                } catch (NodeRejectedException | RejectedException e) {
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
     * @throws NodeRejectedException before anything is sent
     */
    void send(int user, RegionRef ref, String identity, NodeChannel channel) throws IOException {
        try (FileBelow file = readable(user, ref.name())) {
            send(file, ref, identity, channel);
        }
    }

    private void send(FileBelow file, RegionRef ref, String identity, NodeChannel channel)
            throws IOException {
        RegionHeader header = requireReadable(ref, identity, file);
        PayloadRef payload = header.payload(file.named());
        try (FileChannel bytes = FileChannel.open(file.path(), StandardOpenOption.READ);
                MappedFile mapped = RegionMappings.acquire(payload, file)) {
            channel.send(NodeAnswer.of(ref));
            List<RegionRef> pieces = ref.pieces(PIECE_BYTES);
            ByteBuffer checksums =
                    ByteBuffer.allocate(Integer.BYTES * pieces.size())
                            .order(ByteOrder.LITTLE_ENDIAN);
            for (RegionRef piece : pieces) {
                CRC32C crc = new CRC32C();
                crc.update(mapped.slice(piece.offset(), (int) piece.length()));
                checksums.putInt((int) crc.getValue());
                for (RegionRef part : limiter.parts(piece)) {
                    limiter.take(part);
                    channel.write(
                            bytes, RegionLayout.PAYLOAD_OFFSET + part.offset(), part.length());
                }
            }
            channel.write(checksums.flip());
        }
        NodeAnswer end = NodeAnswer.of(ref);
        try {
            requireReadable(ref, identity, file);
        } catch (NodeRejectedException e) {
            end = NodeAnswer.rejected("it changed while it was read: " + e.getMessage());
        }
        channel.send(end);
    }

    /**
     * Where a range lies, for a process of this host, which opens it by its own rights.
     *
     * @throws NodeRejectedException when it is not there to be read
     */
    PayloadRef readable(int user, RegionRef ref) throws NodeRejectedException {
        try (FileBelow file = readable(user, ref.name())) {
            RegionHeader header = header(file);
            info(ref.name(), file, header).requireReadable(ref);
            return header.payload(file.named());
        }
    }

    /** Makes a region of zeros, READY. */
    RegionInfo allocate(int user, String name, long length) throws IOException {
        // A name that is none is rejected before it becomes a path.
        new RegionRef(node, name, 1, 0, length);
        Path relative = relative(name);
        Path above = relative.getParent() == null ? Path.of("") : relative.getParent();
        try (DirectoryBelow parent =
                DirectoryBelow.make(root, above, TrustedDirectory.nodesMode(root))) {
            Path file = parent.path().resolve(relative.getFileName());
            if (Files.exists(file, LinkOption.NOFOLLOW_LINKS)) {
                throw isThere(name);
            }
            requireRoom(name, length);
            try (OwnedRegion region = OwnedRegion.create(file, length, Owner.self(root))) {
                region.publish(new String(Json.encode(new Owned(user)), StandardCharsets.UTF_8));
            } catch (FileAlreadyExistsException e) {
                throw isThere(name);
            } catch (IOException e) {
                requireRoom(name, length);
                throw e;
            }
        }
        return find(user, name);
    }

    private NodeRejectedException isThere(String name) {
        return new NodeRejectedException("region %s on %s is there already".formatted(name, node));
    }

    private void requireRoom(String name, long length) throws IOException {
        if (length > Files.getFileStore(root).getUsableSpace() - RegionLayout.PAYLOAD_OFFSET) {
            throw new NodeRejectedException(
                    "region %s on %s: no room for its %d bytes".formatted(name, node, length));
        }
    }

    /** In the description of a region that was made here. */
    private record Owned(int owner) {}

    /**
     * Writes a range: an answer, then the bytes come, then an answer with the reference of what is
     * there now.
     *
     * @throws NodeRejectedException before any byte is taken
     */
    void write(int user, RegionRef ref, NodeChannel channel) throws IOException {
        try (FileBelow file = owned(user, ref.name())) {
            info(ref.name(), file, header(file)).requireWithin(ref);
            try (RegionEdit edit = RegionEdit.begin(file, ref.generation())) {
                channel.send(NodeAnswer.of(ref));
                for (RegionRef piece : ref.pieces(PIECE_BYTES)) {
                    channel.read(edit.memory().slice(piece.offset(), (int) piece.length()));
                }
                channel.send(
                        NodeAnswer.of(
                                new RegionRef(
                                        node,
                                        ref.name(),
                                        edit.commit(),
                                        ref.offset(),
                                        ref.length())));
            } catch (RejectedException e) {
                throw new NodeRejectedException(e.getMessage());
            }
        }
    }

    /** Deletes a region in this generation. */
    void free(int user, RegionRef ref) throws IOException {
        try (FileBelow file = owned(user, ref.name())) {
            requireGeneration(ref, header(file));
            file.delete();
        }
        readers.remove(ref.name());
    }

    /** Releases a region in this generation; one that is released already stays so. */
    void giveBack(int user, RegionRef ref) throws IOException {
        try (FileBelow file = owned(user, ref.name())) {
            requireGeneration(ref, header(file));
            RegionDirectory.release(file, ref.generation());
        }
    }

    /** Lets somebody read a region. */
    void grant(int user, RegionRef ref, Reader reader) throws NodeRejectedException {
        owned(user, ref.name()).close();
        readers.computeIfAbsent(ref.name(), name -> ConcurrentHashMap.newKeySet()).add(reader);
    }

    /**
     * A region that a user may read.
     *
     * @return to be closed
     */
    private FileBelow readable(int user, String name) throws NodeRejectedException {
        FileBelow file = file(name);
        boolean may = false;
        try {
            may = owns(user, file) || granted(user, name) || groupMayRead(user, file);
        } finally {
            if (!may) {
                file.close();
            }
        }
        if (!may) {
            throw new NodeRejectedException(
                    "region %s on %s: user %d may not read it; its owner may grant it"
                            .formatted(name, node, user));
        }
        return file;
    }

    private boolean granted(int user, String name) {
        return readers.getOrDefault(name, Set.of()).stream()
                .anyMatch(r -> r.group() ? groups.of(user).contains(r.id()) : r.id() == user);
    }

    /** By the file's own permissions. */
    private boolean groupMayRead(int user, FileBelow file) {
        return (file.mode() & GROUP_READS) != 0 && groups.of(user).contains(file.group());
    }

    /**
     * A region that is a user's.
     *
     * @return to be closed
     */
    private FileBelow owned(int user, String name) throws NodeRejectedException {
        FileBelow file = file(name);
        boolean owns = false;
        try {
            owns = owns(user, file);
        } finally {
            if (!owns) {
                file.close();
            }
        }
        if (!owns) {
            throw new NodeRejectedException(
                    "region %s on %s: user %d is not its owner".formatted(name, node, user));
        }
        return file;
    }

    /** What this node has made says for whom; of other files the description is not believed. */
    private static boolean owns(int user, FileBelow file) throws NodeRejectedException {
        if (user == ROOT || user == file.user() && user != TrustedDirectory.user()) {
            return true;
        }
        if (file.user() != TrustedDirectory.user()) {
            return false;
        }
        try {
            JsonNode owner =
                    Json.tree(header(file).description().getBytes(StandardCharsets.UTF_8))
                            .path("owner");
            return user == (owner.isInt() ? owner.asInt() : file.user());
        } catch (RejectedException e) {
            throw new NodeRejectedException(e.getMessage());
        }
    }

    private static void requireGeneration(RegionRef ref, RegionHeader header)
            throws NodeRejectedException {
        if (header.generation() != ref.generation()) {
            throw new NodeRejectedException(
                    "region %s on %s: expected generation %d, it is in generation %d"
                            .formatted(
                                    ref.name(), ref.node(), ref.generation(), header.generation()));
        }
    }

    private RegionHeader requireReadable(RegionRef ref, String identity, FileBelow file)
            throws NodeRejectedException {
        RegionHeader header = header(file);
        RegionInfo info = info(ref.name(), file, header);
        info.requireReadable(ref);
        if (!info.identity().equals(identity)) {
            throw new NodeRejectedException(
                    "region %s on %s is another than it was".formatted(ref.name(), ref.node()));
        }
        return header;
    }
}
