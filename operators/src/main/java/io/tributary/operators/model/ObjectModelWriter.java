// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.model;

import io.tributary.protocol.message.RoundId;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;

/** Puts a model together in a file of this host, since an object can only be written in order. */
record ObjectModelWriter(ObjectModelStore models, ModelWriter file, RoundId version)
        implements ModelWriter {

    @Override
    public void write(int shard, ByteBuffer bytes) throws IOException {
        file.write(shard, bytes);
    }

    @Override
    public byte[] read(int shard) throws IOException {
        return file.read(shard);
    }

    @Override
    public Path finish() throws IOException {
        return models.put(version, file.finish());
    }

    @Override
    public Path reject(Path former, String why) throws IOException {
        models.reject(version, why);
        return models.put(version, file.reject(former, why));
    }

    @Override
    public void close() throws IOException {
        file.close();
    }
}
