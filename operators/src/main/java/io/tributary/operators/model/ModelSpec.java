// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.model;

import io.tributary.protocol.message.UpdateKind;
import io.tributary.protocol.tensor.ModelLayout;
import io.tributary.protocol.tensor.SafetensorsHeader;
import io.tributary.protocol.tensor.TensorSets;
import io.tributary.protocol.tensor.UpdateTensors;
import java.io.Serializable;
import java.io.UncheckedIOException;
import java.nio.file.Path;
import java.util.List;

/**
 * What a job is told about its model.
 *
 * @param path a safetensors file, or an object, with the model's tensors: the initial model
 * @param shardElements elements of a shard
 * @param kind what updates are
 * @param sets names of the tensor sets that the model and updates have beside its tensors
 * @param updates which of its tensors updates have
 */
public record ModelSpec(
        String path, int shardElements, UpdateKind kind, List<String> sets, UpdateTensors updates)
        implements Serializable {

    /** 2 MiB of float64 sums: fits a core's cache, and there are enough for all cores. */
    public static final int DEFAULT_SHARD_ELEMENTS = 1 << 18;

    /** With a path that does not depend on where a process was started. */
    public ModelSpec {
        path = ModelStore.isObject(path) ? path : Path.of(path).toAbsolutePath().toString();
        sets = List.copyOf(sets);
    }

    /** With the model's tensors alone, all of them. */
    public ModelSpec(String path, int shardElements, UpdateKind kind) {
        this(path, shardElements, kind, List.of(), UpdateTensors.ALL);
    }

    /**
     * A file of this host with it, and with its sets.
     *
     * @throws UncheckedIOException when it cannot be had
     */
    public Path file() {
        return InitialModel.required(path, sets);
    }

    /** Reads the file's header. */
    public ModelLayout layout() {
        return new ModelLayout(
                TensorSets.with(SafetensorsHeader.read(ModelCache.required(path, false)), sets),
                shardElements,
                updates);
    }
}
