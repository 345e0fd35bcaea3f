// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.model;

import io.tributary.protocol.message.UpdateKind;
import io.tributary.protocol.tensor.ModelLayout;
import io.tributary.protocol.tensor.SafetensorsHeader;
import java.io.Serializable;
import java.io.UncheckedIOException;
import java.nio.file.Path;

/**
 * What a job is told about its model.
 *
 * @param path a safetensors file, or an object, with the model's tensors: the initial model
 * @param shardElements elements of a shard
 * @param kind what updates are
 */
public record ModelSpec(String path, int shardElements, UpdateKind kind) implements Serializable {

    /** 2 MiB of float64 sums: fits a core's cache, and there are enough for all cores. */
    public static final int DEFAULT_SHARD_ELEMENTS = 1 << 18;

    /** With a path that does not depend on where a process was started. */
    public ModelSpec {
        path = ModelStore.isObject(path) ? path : Path.of(path).toAbsolutePath().toString();
    }

    /**
     * A file of this host with it.
     *
     * @throws UncheckedIOException when it cannot be had
     */
    public Path file() {
        return ModelCache.required(path, false);
    }

    /** Reads the file's header. */
    public ModelLayout layout() {
        return new ModelLayout(SafetensorsHeader.read(file()), shardElements);
    }
}
