// SPDX-License-Identifier: Apache-2.0

package io.tributary.node;

import io.tributary.memory.region.OwnedRegion;
import io.tributary.memory.region.RegionDirectory;
import io.tributary.memory.region.TrustedDirectory;
import io.tributary.node.NodeRequest.Asked;
import io.tributary.protocol.message.PayloadRef;
import io.tributary.protocol.message.RegionRef;
import java.io.IOException;
import java.io.InterruptedIOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Comparator;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.UUID;
import java.util.concurrent.CancellationException;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Future;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import java.util.zip.CRC32C;

/**
 * Copies of other nodes' regions on this one. A copy has the length of its region and, at the same
 * places, the pieces that somebody asked for; the rest takes no memory. Copies are counted
 * references to, and deleted a while after the last. Thread-safe.
 */
final class RemoteRegions implements AutoCloseable {

    private static final int STREAMS = 4;

    private final Path directory;
    private final NodeConnectionPool connections;
    private final Duration idle;
    private final Map<String, ExecutorService> streams = new ConcurrentHashMap<>();
    private final Map<CachedRegion.Key, CachedRegion> copies = new HashMap<>();
    private final AtomicLong fetchedBytes = new AtomicLong();

    /**
     * A range at hand.
     *
     * @param payload where this host has it
     * @param copy to be released
     */
    record Fetched(PayloadRef payload, CachedRegion copy) {}

    /**
     * @param directory where copies are made; begins with a dot, so that no name leads there
     * @param idle how long a copy is kept that nobody uses
     */
    RemoteRegions(Path directory, NodeConnectionPool connections, Duration idle) {
        this.directory = directory;
        this.connections = connections;
        this.idle = idle;
        try {
            TrustedDirectory.makeOwn(directory);
        } catch (IOException e) {
            throw new UncheckedIOException(
                    "copies of other nodes' regions cannot be made: " + e.getMessage(), e);
        }
        // What an agent that died has left.
        RegionDirectory.reap(directory, Duration.ZERO);
    }

    /**
     * Has a range of a region at hand until it is released.
     *
     * @param user on whose behalf
     */
    Fetched fetch(int user, RegionRef ref) throws IOException {
        CachedRegion copy = copy(user, ref);
        try {
            synchronized (copy) {
                fill(copy, ref);
            }
            return new Fetched(copy.region().payload(), copy);
        } catch (IOException | RuntimeException e) {
            // Other parts may still be coming in.
            abandon(copy);
            throw e;
        }
    }

    /**
     * The copy, with one user more. The region's node is always asked: whether this user may read
     * it, and whether it is there still.
     */
    private CachedRegion copy(int user, RegionRef ref) throws IOException {
        RegionInfo info =
                connections.use(
                        ref.node(),
                        channel -> {
                            channel.send(
                                    new Asked(user, new NodeRequest.Find(ref.node(), ref.name())));
                            return channel.receiveSoon(NodeAnswer.class).as(RegionInfo.class);
                        });
        info.requireReadable(ref);
        CachedRegion.Key key =
                new CachedRegion.Key(
                        ref.node(), ref.name(), ref.generation(), info.identity(), user);
        synchronized (copies) {
            CachedRegion known = copies.get(key);
            if (known == null) {
                known = make(key, info.ref().length());
                copies.put(key, known);
            }
            known.use();
            return known;
        }
    }

    /** In the memory of the one which nobody has used for the longest, if there is one. */
    private CachedRegion make(CachedRegion.Key key, long length) throws IOException {
        Optional<CachedRegion> unused =
                copies.values().stream()
                        .filter(copy -> copy.fits(key.user(), length))
                        .filter(copy -> copy.unusedFor(0))
                        .min(Comparator.comparingLong(CachedRegion::usedNanos));
        if (unused.isEmpty()) {
            return new CachedRegion(key, make(key.node(), length));
        }
        copies.remove(unused.get().key());
        return unused.get().again(key);
    }

    /** By their permissions those may read it to whom the region directory is open. */
    private OwnedRegion make(String node, long length) throws IOException {
        Path below = directory.resolve(node);
        TrustedDirectory.makeOwn(below);
        return OwnedRegion.sparse(
                below.resolve(UUID.randomUUID() + RegionDirectory.SUFFIX), length);
    }

    private void fill(CachedRegion copy, RegionRef ref) throws IOException {
        List<RegionRef> missing = copy.missing(ref);
        makeRoom(copy.untouchedBytes(missing));
        Map<RegionRef, Future<Void>> parts = new LinkedHashMap<>();
        for (RegionRef extent : missing) {
            parts.put(
                    extent,
                    streams(ref.node())
                            .submit(
                                    () -> {
                                        receive(copy, extent);
                                        return null;
                                    }));
        }
        Optional<IOException> failure = Optional.empty();
        for (Map.Entry<RegionRef, Future<Void>> part : parts.entrySet()) {
            try {
                part.getValue().get();
                copy.has(part.getKey());
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
                throw new InterruptedIOException("interrupted while reading " + ref);
            } catch (CancellationException e) {
                // Another part has failed.
            } catch (ExecutionException e) {
                if (failure.isEmpty()) {
                    failure = Optional.of(asIo(e.getCause()));
                    // Nobody will ask for the rest, but what is under way ends by itself.
                    parts.values().forEach(rest -> rest.cancel(false));
                }
            }
        }
        if (failure.isPresent()) {
            throw failure.get();
        }
    }

    private static IOException asIo(Throwable e) {
        return e instanceof IOException io ? io : new IOException(e.getMessage(), e);
    }

    /** Streams from one node, so that a slow one keeps nobody from the others. */
    private ExecutorService streams(String node) {
        return streams.computeIfAbsent(
                node,
                name -> {
                    ThreadPoolExecutor pool =
                            new ThreadPoolExecutor(
                                    STREAMS,
                                    STREAMS,
                                    1,
                                    TimeUnit.MINUTES,
                                    new LinkedBlockingQueue<>(),
                                    new DaemonThreads("node-stream-" + name));
                    pool.allowCoreThreadTimeOut(true);
                    return pool;
                });
    }

    /** Copies may take half of the file system; those that nobody uses give way. */
    private void makeRoom(long bytes) throws IOException {
        if (bytes == 0) {
            return;
        }
        long most = Files.getFileStore(directory).getTotalSpace() / 2;
        synchronized (copies) {
            if (heldBytes() + bytes > most
                    || bytes > Files.getFileStore(directory).getUsableSpace()) {
                removeUnused(0);
            }
            if (heldBytes() + bytes > most
                    || bytes > Files.getFileStore(directory).getUsableSpace()) {
                throw new NodeRejectedException(
                        "no room for %d bytes more of other nodes' regions: %d of %d are in use"
                                .formatted(bytes, heldBytes(), most));
            }
        }
    }

    private long heldBytes() {
        return copies.values().stream().mapToLong(CachedRegion::heldBytes).sum();
    }

    /** Receives a range straight into the copy's memory. */
    private void receive(CachedRegion copy, RegionRef ref) throws IOException {
        connections.use(
                ref.node(),
                channel -> {
                    channel.send(
                            new Asked(
                                    copy.key().user(),
                                    new NodeRequest.Read(ref, copy.key().identity())));
                    channel.receiveSoon(NodeAnswer.class).as(RegionRef.class);
                    List<RegionRef> pieces = ref.pieces(LocalRegionStore.PIECE_BYTES);
                    ByteBuffer found =
                            ByteBuffer.allocate(Integer.BYTES * pieces.size())
                                    .order(ByteOrder.LITTLE_ENDIAN);
                    for (RegionRef piece : pieces) {
                        ByteBuffer target =
                                copy.region().memory().slice(piece.offset(), (int) piece.length());
                        channel.read(target.duplicate());
                        CRC32C crc = new CRC32C();
                        crc.update(target);
                        found.putInt((int) crc.getValue());
                    }
                    ByteBuffer sent = ByteBuffer.allocate(found.capacity());
                    channel.read(sent);
                    boolean damaged = !sent.flip().equals(found.flip());
                    channel.receiveSoon(NodeAnswer.class).as(RegionRef.class);
                    if (damaged) {
                        throw new NodeRejectedException(
                                "region %s on %s: its bytes changed while they were read"
                                        .formatted(ref.name(), ref.node()));
                    }
                    fetchedBytes.addAndGet(ref.length());
                    return null;
                });
    }

    /** One user less. */
    void release(CachedRegion copy) {
        synchronized (copies) {
            copy.release();
        }
    }

    /**
     * One user less, who has not said so. It may have the memory mapped still, or write to it, so
     * nothing else is ever to be written there.
     */
    void abandon(CachedRegion copy) {
        synchronized (copies) {
            copy.abandon();
        }
    }

    /** Deletes copies that nobody has used for a while. */
    void sweep() {
        synchronized (copies) {
            removeUnused(idle.toNanos());
        }
    }

    private void removeUnused(long nanos) {
        List<CachedRegion> unused =
                copies.values().stream().filter(copy -> copy.unusedFor(nanos)).toList();
        for (CachedRegion copy : unused) {
            copies.remove(copy.key());
            copy.region().delete();
        }
    }

    /** Bytes received so far. */
    long fetchedBytes() {
        return fetchedBytes.get();
    }

    @Override
    public void close() {
        streams.values().forEach(ExecutorService::shutdownNow);
        boolean quiet = true;
        try {
            for (ExecutorService pool : streams.values()) {
                quiet &= pool.awaitTermination(5, TimeUnit.SECONDS);
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            quiet = false;
        }
        if (quiet) {
            // Otherwise somebody still writes to them; the next agent reaps their files.
            synchronized (copies) {
                copies.values().forEach(copy -> copy.region().delete());
                copies.clear();
            }
        }
    }
}
