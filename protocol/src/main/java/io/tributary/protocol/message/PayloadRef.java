// SPDX-License-Identifier: Apache-2.0

package io.tributary.protocol.message;

/**
 * Where a payload lies.
 *
 * @param path the file
 * @param offset where the payload begins in it, in bytes
 * @param length bytes of the payload
 * @param region whether the file is a region, to be released when no longer needed; otherwise it
 *     belongs to somebody else and is only read
 */
public record PayloadRef(String path, long offset, long length, boolean region) {}
