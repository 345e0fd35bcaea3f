// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.model;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;

/**
 * A version of a model that is being written. Shards may come in any order, and again. Nobody sees
 * it before it is finished. Not thread-safe.
 */
public interface ModelWriter extends AutoCloseable {

    /** Writes a shard's bytes. */
    void write(int shard, ByteBuffer bytes) throws IOException;

    /** The bytes of a shard that was written. */
    byte[] read(int shard) throws IOException;

    /**
     * Makes the version what was written.
     *
     * @return a file of this host with it
     */
    Path finish() throws IOException;

    /**
     * Makes the version the former model once more.
     *
     * @param former a file with the version that trainers started from
     * @param why why what was written is not taken
     * @return a file of this host with it
     */
    Path reject(Path former, String why) throws IOException;

    /** Throws away what is not finished. */
    @Override
    void close() throws IOException;
}
