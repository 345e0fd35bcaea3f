// SPDX-License-Identifier: Apache-2.0

package io.tributary.protocol.message;

import io.tributary.protocol.RejectReason;
import io.tributary.protocol.RejectedException;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Pattern;

/**
 * A range of a region's payload, meaning the same on every node.
 *
 * @param node the node whose memory it is
 * @param name the region, below that node's region directory: names separated by '/'
 * @param generation which use of the region, from 1 on
 * @param offset where the range begins in the payload, in bytes
 * @param length bytes
 */
public record RegionRef(String node, String name, int generation, long offset, long length) {

    private static final Pattern NAME =
            Pattern.compile("[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)*");
    private static final int MAX_NAME = 512;

    /**
     * @throws RejectedException MALFORMED when it cannot be one: such a name leads nowhere but
     *     below the region directory
     */
    public RegionRef {
        Names.check("node", node);
        if (name.length() > MAX_NAME || !NAME.matcher(name).matches()) {
            throw new RejectedException(
                    RejectReason.MALFORMED,
                    "region '%s': expected names of letters, digits, '.', '_', '-' that begin with none of '.', '-', separated by '/'"
                            .formatted(
                                    name.substring(0, Math.min(60, name.length()))
                                            .replaceAll("\\p{Cntrl}", "?")));
        }
        if (generation < 1 || offset < 0 || length < 0 || offset + length < 0) {
            throw new RejectedException(
                    RejectReason.MALFORMED,
                    "region %s on %s: expected a generation from 1 on and a range of no less than 0 bytes, got generation %d, %d bytes at %d"
                            .formatted(name, node, generation, length, offset));
        }
    }

    /** Where the range ends. */
    public long end() {
        return offset + length;
    }

    /**
     * A part of this range.
     *
     * @param from where it begins in this range, in bytes
     * @throws RejectedException MALFORMED when it reaches beyond
     */
    public RegionRef part(long from, long count) {
        if (from < 0 || count < 0 || from > length - count) {
            throw new RejectedException(
                    RejectReason.MALFORMED,
                    "%d bytes at %d of %s on %s: expected no more than its %d"
                            .formatted(count, from, name, node, length));
        }
        return new RegionRef(node, name, generation, offset + from, count);
    }

    /**
     * This range cut where the payload's offsets are multiples of {@code bytes}: pieces in order
     * that together are it, none empty.
     */
    public List<RegionRef> pieces(long bytes) {
        List<RegionRef> pieces = new ArrayList<>();
        long at = offset;
        while (at < end()) {
            long next = Math.min(end(), at - at % bytes + bytes);
            pieces.add(new RegionRef(node, name, generation, at, next - at));
            at = next;
        }
        return pieces;
    }
}
