// SPDX-License-Identifier: Apache-2.0

package io.tributary.shm.node;

import io.tributary.protocol.message.PayloadRef;
import io.tributary.protocol.message.RegionRef;
import io.tributary.shm.region.OwnedRegion;
import io.tributary.shm.region.RegionDirectory;
import java.io.IOException;
import java.io.InterruptedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.HashMap;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicLong;
import java.util.zip.CRC32C;

/**
 * Copies of other nodes' regions on this one. A copy has the length of its region and, at the same
 * places, the pieces that somebody asked for; the rest takes no memory. Copies are counted
 * references to, and deleted a while after the last. Thread-safe.
 */
final class RemoteRegions implements AutoCloseable {

    /** What one connection fetches in a go: a few pieces, so that all streams end together. */
    private static final int EXTENT_BYTES = 8 * RegionShelf.PIECE_BYTES;

    private static final int STREAMS = 4;

    private final Path directory;
    private final NodeLinks links;
    private final Duration idle;
    private final ExecutorService streams;
    private final Map<Key, Copy> copies = new HashMap<>();
    private final AtomicLong fetchedBytes = new AtomicLong();

    private record Key(String node, String name, int tenure) {

        static Key of(RegionRef ref) {
            return new Key(ref.node(), ref.name(), ref.tenure());
        }
    }

    /** What is here of a region. Its pieces belong to whoever holds its monitor. */
    private static final class Copy {

        private final OwnedRegion region;
        private final BitSet pieces = new BitSet();
        private int users;
        private long usedNanos = System.nanoTime();

        Copy(OwnedRegion region) {
            this.region = region;
        }
    }

    /**
     * @param directory where copies are made
     * @param idle how long a copy is kept that nobody uses
     */
    RemoteRegions(Path directory, NodeLinks links, Duration idle) {
        this.directory = directory;
        this.links = links;
        this.idle = idle;
        this.streams =
                Executors.newFixedThreadPool(
                        STREAMS,
                        task -> {
                            Thread thread = new Thread(task, "node-stream");
                            thread.setDaemon(true);
                            return thread;
                        });
        // What an agent that died has left.
        RegionDirectory.reap(directory, Duration.ZERO);
    }

    /**
     * Has a range of a region at hand until it is released as often.
     *
     * @return the copy, with that range in it at its place
     */
    PayloadRef fetch(RegionRef ref) throws IOException {
        Copy copy = copy(ref);
        try {
            if (ref.end() > copy.region.payload().length()) {
                throw new NodeRefusedException(
                        "region %s on %s: expected a range within its %d bytes, got %d at %d"
                                .formatted(
                                        ref.name(),
                                        ref.node(),
                                        copy.region.payload().length(),
                                        ref.length(),
                                        ref.offset()));
            }
            synchronized (copy) {
                fill(copy, ref);
            }
            return copy.region.payload();
        } catch (IOException | RuntimeException e) {
            release(ref);
            throw e;
        }
    }

    /** The copy, with one user more. */
    private Copy copy(RegionRef ref) throws IOException {
        synchronized (copies) {
            Copy known = copies.get(Key.of(ref));
            if (known != null) {
                known.users++;
                return known;
            }
        }
        long length =
                links.use(
                                ref.node(),
                                channel -> {
                                    channel.send(new NodeRequest.Find(ref.node(), ref.name()));
                                    return channel.receiveSoon(NodeAnswer.class)
                                            .as(RegionInfo.class);
                                })
                        .ref()
                        .length();
        synchronized (copies) {
            Copy known = copies.get(Key.of(ref));
            if (known == null) {
                Path file =
                        directory
                                .resolve(ref.node())
                                .resolve(UUID.randomUUID() + RegionDirectory.SUFFIX);
                known = new Copy(OwnedRegion.sparse(file, length));
                copies.put(Key.of(ref), known);
            }
            known.users++;
            return known;
        }
    }

    private void fill(Copy copy, RegionRef ref) throws IOException {
        List<Future<Void>> parts = new ArrayList<>();
        for (RegionRef extent : missing(copy, ref)) {
            parts.add(
                    streams.submit(
                            () -> {
                                receive(extent, copy.region);
                                return null;
                            }));
        }
        IOException failure = null;
        for (Future<Void> part : parts) {
            try {
                part.get();
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
                throw new InterruptedIOException("interrupted while reading " + ref);
            } catch (ExecutionException e) {
                failure =
                        e.getCause() instanceof IOException io
                                ? io
                                : new IOException(e.getCause().getMessage(), e.getCause());
            }
        }
        if (failure != null) {
            throw failure;
        }
        for (RegionRef piece : whole(copy, ref).pieces(RegionShelf.PIECE_BYTES)) {
            copy.pieces.set(index(piece));
        }
    }

    private static int index(RegionRef piece) {
        return (int) (piece.offset() / RegionShelf.PIECE_BYTES);
    }

    /** The pieces that a range touches, as one range. */
    private static RegionRef whole(Copy copy, RegionRef ref) {
        long piece = RegionShelf.PIECE_BYTES;
        long begin = ref.offset() - ref.offset() % piece;
        long end =
                Math.min(copy.region.payload().length(), (ref.end() + piece - 1) / piece * piece);
        return new RegionRef(ref.node(), ref.name(), ref.tenure(), begin, Math.max(0, end - begin));
    }

    /** What is not here yet, in ranges of at most an extent. */
    private static List<RegionRef> missing(Copy copy, RegionRef ref) {
        List<RegionRef> missing = new ArrayList<>();
        for (RegionRef extent : whole(copy, ref).pieces(EXTENT_BYTES)) {
            List<RegionRef> gaps = new ArrayList<>();
            for (RegionRef piece : extent.pieces(RegionShelf.PIECE_BYTES)) {
                RegionRef last = gaps.isEmpty() ? null : gaps.get(gaps.size() - 1);
                if (copy.pieces.get(index(piece))) {
                    continue;
                }
                if (last != null && last.end() == piece.offset()) {
                    gaps.set(
                            gaps.size() - 1,
                            new RegionRef(
                                    ref.node(),
                                    ref.name(),
                                    ref.tenure(),
                                    last.offset(),
                                    last.length() + piece.length()));
                } else {
                    gaps.add(piece);
                }
            }
            missing.addAll(gaps);
        }
        return missing;
    }

    /** Receives a range straight into the copy's memory. */
    private void receive(RegionRef ref, OwnedRegion copy) throws IOException {
        try {
            tryReceive(ref, copy);
        } catch (NodeRefusedException e) {
            throw e;
        } catch (IOException e) {
            // A connection that was kept may have died meanwhile; reading once more does no harm.
            tryReceive(ref, copy);
        }
    }

    private void tryReceive(RegionRef ref, OwnedRegion copy) throws IOException {
        links.use(
                ref.node(),
                channel -> {
                    channel.send(new NodeRequest.Read(ref));
                    channel.receiveSoon(NodeAnswer.class).as(RegionRef.class);
                    ByteBuffer checksum =
                            ByteBuffer.allocate(Integer.BYTES).order(ByteOrder.LITTLE_ENDIAN);
                    boolean damaged = false;
                    for (RegionRef piece : ref.pieces(RegionShelf.PIECE_BYTES)) {
                        ByteBuffer target =
                                copy.memory().slice(piece.offset(), (int) piece.length());
                        channel.read(target.duplicate());
                        channel.read(checksum.clear());
                        CRC32C crc = new CRC32C();
                        crc.update(target);
                        damaged |= (int) crc.getValue() != checksum.getInt(0);
                    }
                    channel.receiveSoon(NodeAnswer.class).as(RegionRef.class);
                    if (damaged) {
                        throw new NodeRefusedException(
                                "region %s on %s: its bytes changed while they were read"
                                        .formatted(ref.name(), ref.node()));
                    }
                    fetchedBytes.addAndGet(ref.length());
                    return null;
                });
    }

    /** One user less. */
    void release(RegionRef ref) {
        synchronized (copies) {
            Copy copy = copies.get(Key.of(ref));
            if (copy != null) {
                copy.users--;
                copy.usedNanos = System.nanoTime();
            }
        }
    }

    /** Deletes copies that nobody has used for a while. */
    void sweep() {
        synchronized (copies) {
            Iterator<Copy> all = copies.values().iterator();
            while (all.hasNext()) {
                Copy copy = all.next();
                if (copy.users == 0 && System.nanoTime() - copy.usedNanos >= idle.toNanos()) {
                    copy.region.delete();
                    all.remove();
                }
            }
        }
    }

    /** Bytes received so far. */
    long fetchedBytes() {
        return fetchedBytes.get();
    }

    /** Copies there are. */
    int count() {
        synchronized (copies) {
            return copies.size();
        }
    }

    @Override
    public void close() {
        streams.shutdownNow();
        synchronized (copies) {
            copies.values().forEach(copy -> copy.region.delete());
            copies.clear();
        }
    }
}
