// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.aggregate;

import io.tributary.memory.region.MappedFile;
import io.tributary.memory.region.RegionMappings;
import io.tributary.memory.region.TensorFile;
import io.tributary.node.NodeClient;
import io.tributary.node.PayloadStore;
import io.tributary.operators.clock.Clock;
import io.tributary.protocol.RejectReason;
import io.tributary.protocol.RejectedException;
import io.tributary.protocol.message.PayloadRef;
import io.tributary.protocol.tensor.ModelLayout;
import io.tributary.protocol.tensor.ModelLayout.Segment;
import io.tributary.protocol.tensor.SafetensorsHeader;
import io.tributary.protocol.tensor.TensorInfo;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.TimeUnit;

/**
 * The updates that one subtask has at hand, the least recently used first. A shard is folded in
 * less time than it takes to map a file and to read its header. Not thread-safe.
 */
final class MappedUpdateCache implements AutoCloseable {

    private static final int MAX_OPEN = 256;

    /** A copy of a region of another host takes memory; a mapping of one of this host does not. */
    private static final long KEEP_COPY_NANOS = TimeUnit.SECONDS.toNanos(2);

    private final ModelLayout layout;
    private final PayloadStore regions;
    private final Clock clock;
    private final Map<PayloadRef, Update> open = new LinkedHashMap<>(16, 0.75f, true);

    MappedUpdateCache(ModelLayout layout, PayloadStore regions, Clock clock) {
        this.clock = clock;
        this.layout = layout;
        this.regions = regions;
    }

    /** This host's copy of an update on another one. What is in it stays as long as it is open. */
    private static final class Copy {

        private final NodeClient.Open header;
        private long usedNanos;

        Copy(NodeClient.Open header) {
            this.header = header;
        }
    }

    /**
     * A mapped update.
     *
     * @param file its tensors
     * @param tensors for each tensor of the model, the update's; empty where it has none
     * @param copy what is mapped, where the update lies elsewhere
     */
    record Update(TensorFile file, List<Optional<TensorInfo>> tensors, Optional<Copy> copy) {

        /** Whether it has a run of the model's elements. */
        boolean has(Segment segment) {
            return tensors.get(segment.tensor()).isPresent();
        }

        /** Where a run of the model's elements begins in it, in bytes. */
        long offset(Segment segment) {
            TensorInfo tensor = tensors.get(segment.tensor()).orElseThrow();
            return file.header().dataOffset()
                    + tensor.begin()
                    + segment.from() * tensor.dtype().bytes();
        }
    }

    /**
     * An update of which a shard is to be folded. Of one that lies elsewhere nothing but its header
     * and the shards that were asked for are in memory.
     */
    Update get(PayloadRef payload, int shard) {
        boolean elsewhere = regions.elsewhere(payload);
        Update known = open.get(payload);
        if (known == null) {
            known = open(payload, elsewhere);
        } else if (!elsewhere) {
            RegionMappings.requireWhole(payload);
        }
        if (elsewhere && !fetch(payload, known, shard)) {
            close(payload);
            known = open(payload, true);
            if (!fetch(payload, known, shard)) {
                throw new RejectedException(
                        RejectReason.PAYLOAD_LOST,
                        "%s on %s: its copy went while it was being made; is the node agent dying?"
                                .formatted(payload.path(), payload.node()));
            }
        }
        return known;
    }

    /**
     * Neighbours in the model mostly are in the update too, and then come together.
     *
     * @return false where they came into another copy than the one that is open, because the node
     *     agent is not the one that made it
     */
    private boolean fetch(PayloadRef payload, Update update, int shard) {
        Copy copy = update.copy().orElseThrow();
        copy.usedNanos = clock.nanoTime();
        boolean same = true;
        long begin = 0;
        long end = 0;
        for (Segment segment : layout.segments(shard)) {
            if (!update.has(segment)) {
                continue;
            }
            long from = update.offset(segment);
            if (from != end) {
                same &= fetch(payload, copy, begin, end);
                begin = from;
            }
            end = from + (long) segment.count() * layout.type(segment).bytes();
        }
        return same & fetch(payload, copy, begin, end);
    }

    private boolean fetch(PayloadRef payload, Copy copy, long begin, long end) {
        if (end <= begin) {
            return true;
        }
        // The header keeps the copy, so what is in it from now on stays.
        try (NodeClient.Open range = regions.open(payload, begin, end - begin)) {
            return range.payload().equals(copy.header.payload());
        }
    }

    private Update open(PayloadRef payload, boolean elsewhere) {
        if (open.size() >= MAX_OPEN) {
            close(open.keySet().iterator().next());
        }
        if (!elsewhere) {
            return open(payload, RegionMappings.acquire(payload), Optional.empty());
        }
        // The first bytes say how long the header is.
        NodeClient.Open header = regions.open(payload, 0, Math.min(Long.BYTES, payload.length()));
        try {
            long json = header.memory().slice(0, Long.BYTES).getLong(0);
            long most = Math.min(layout.maxUpdateHeaderBytes(), payload.length() - Long.BYTES);
            Copy copy = new Copy(header);
            fetch(payload, copy, 0, Long.BYTES + Math.max(0, Math.min(json, most)));
            return open(payload, RegionMappings.acquire(header.payload()), Optional.of(copy));
        } catch (RuntimeException e) {
            header.close();
            throw e;
        }
    }

    private Update open(PayloadRef payload, MappedFile mapped, Optional<Copy> copy) {
        TensorFile file =
                TensorFile.open(
                        mapped,
                        payload.length(),
                        payload.region()
                                ? layout.maxUpdateHeaderBytes()
                                : SafetensorsHeader.MAX_JSON_BYTES);
        Update update = new Update(file, layout.match(file.header()), copy);
        open.put(payload, update);
        return update;
    }

    private void close(PayloadRef payload) {
        Update update = open.remove(payload);
        update.file().close();
        update.copy().ifPresent(copy -> copy.header.close());
    }

    /** Closes those whose region has been released, so that its memory can go. */
    void evictIdle() {
        long now = clock.nanoTime();
        open.entrySet().stream()
                .filter(entry -> over(entry.getKey(), entry.getValue(), now))
                .map(Map.Entry::getKey)
                .toList()
                .forEach(this::close);
        RegionMappings.sweep();
    }

    private static boolean over(PayloadRef payload, Update update, long now) {
        return update.copy()
                .map(copy -> now - copy.usedNanos > KEEP_COPY_NANOS)
                .orElseGet(() -> RegionMappings.over(payload));
    }

    @Override
    public void close() {
        List.copyOf(open.keySet()).forEach(this::close);
    }
}
