// SPDX-License-Identifier: Apache-2.0

package io.tributary.protocol.message;

/**
 * Where a payload lies.
 *
 * @param path the file
 * @param offset where the payload begins in it, in bytes
 * @param length bytes of the payload
 * @param tenure which use of a region this is, counted from 1, since an owner may write into a
 *     released region again; 0 where the file is not a region but somebody else's and only read
 */
public record PayloadRef(String path, long offset, long length, int tenure) {

    /** Whether the file is a region, to be released when no longer needed. */
    public boolean region() {
        return tenure > 0;
    }
}
