// SPDX-License-Identifier: Apache-2.0

package io.tributary.node;

import io.tributary.memory.region.OwnedRegion;
import io.tributary.protocol.message.RegionRef;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.List;

/**
 * The pieces of another node's region that are on this host. A thread that holds its monitor may
 * use them.
 */
final class CachedRegion {

    /** What one connection fetches in a go: a few pieces, so that all streams end together. */
    private static final int EXTENT_BYTES = 8 << 20;

    private final Key key;
    private final OwnedRegion region;
    private final BitSet pieces = new BitSet();

    /** Those that take memory: also what was in them before. */
    private final BitSet touched = new BitSet();

    private volatile int held;
    private int users;
    private boolean abandoned;
    private long usedNanos = System.nanoTime();

    /** A region, not only a name, and for whom, since a copy is a file of its user. */
    record Key(String node, String name, int generation, String identity, int user) {}

    CachedRegion(Key key, OwnedRegion region) {
        this.key = key;
        this.region = region;
    }

    Key key() {
        return key;
    }

    OwnedRegion region() {
        return region;
    }

    /** What is not here yet of the pieces that a range touches, in ranges of at most an extent. */
    List<RegionRef> missing(RegionRef ref) {
        List<RegionRef> missing = new ArrayList<>();
        for (RegionRef extent : whole(ref).pieces(EXTENT_BYTES)) {
            List<RegionRef> gaps = new ArrayList<>();
            for (RegionRef piece : extent.pieces(LocalRegionStore.PIECE_BYTES)) {
                if (pieces.get(index(piece))) {
                    continue;
                }
                RegionRef last = gaps.isEmpty() ? null : gaps.get(gaps.size() - 1);
                if (last != null && last.end() == piece.offset()) {
                    gaps.set(gaps.size() - 1, range(ref, last.offset(), piece.end()));
                } else {
                    gaps.add(piece);
                }
            }
            missing.addAll(gaps);
        }
        return missing;
    }

    /** The pieces that a range touches, as one range. */
    private RegionRef whole(RegionRef ref) {
        long piece = LocalRegionStore.PIECE_BYTES;
        long begin = ref.offset() - ref.offset() % piece;
        long end = Math.min(region.payload().length(), (ref.end() + piece - 1) / piece * piece);
        return range(ref, begin, Math.max(begin, end));
    }

    private static RegionRef range(RegionRef ref, long begin, long end) {
        return new RegionRef(ref.node(), ref.name(), ref.generation(), begin, end - begin);
    }

    private static int index(RegionRef piece) {
        return (int) (piece.offset() / LocalRegionStore.PIECE_BYTES);
    }

    /** A range of whole pieces has come. */
    void has(RegionRef range) {
        range.pieces(LocalRegionStore.PIECE_BYTES).forEach(piece -> pieces.set(index(piece)));
        touched.or(pieces);
        held = touched.cardinality();
    }

    /** How much more memory ranges would take. */
    long untouchedBytes(List<RegionRef> ranges) {
        return ranges.stream()
                .flatMap(range -> range.pieces(LocalRegionStore.PIECE_BYTES).stream())
                .filter(piece -> !touched.get(index(piece)))
                .mapToLong(RegionRef::length)
                .sum();
    }

    /** Another region's copy in this one's memory; this one is over. */
    CachedRegion again(Key other) {
        region.reuse(region.capacity());
        CachedRegion copy = new CachedRegion(other, region);
        copy.touched.or(touched);
        copy.held = held;
        return copy;
    }

    /**
     * Whether another region would fit into this one's memory, which is faster than fresh memory.
     */
    boolean fits(int user, long length) {
        return !abandoned && key.user() == user && region.capacity() == length;
    }

    /** Memory that it takes. */
    long heldBytes() {
        return (long) LocalRegionStore.PIECE_BYTES * held;
    }

    /** One user more. The owner of all copies counts the users. */
    void use() {
        users++;
    }

    /** One user less. */
    void release() {
        users--;
        usedNanos = System.nanoTime();
    }

    /** One user less, who may go on reading. */
    void abandon() {
        abandoned = true;
        release();
    }

    /** When it was last given up. */
    long usedNanos() {
        return usedNanos;
    }

    /** Whether nobody has used it for so long. */
    boolean unusedFor(long nanos) {
        return users == 0 && System.nanoTime() - usedNanos >= nanos;
    }
}
