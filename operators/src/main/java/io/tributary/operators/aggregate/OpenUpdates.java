// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.aggregate;

import io.tributary.protocol.message.PayloadRef;
import io.tributary.protocol.tensor.ModelLayout;
import io.tributary.protocol.tensor.SafetensorsHeader;
import io.tributary.protocol.tensor.TensorInfo;
import io.tributary.shm.region.MappedFile;
import io.tributary.shm.region.RegionMappings;
import io.tributary.shm.region.TensorFile;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * The updates that one subtask has at hand, the least recently used first. A shard is folded in
 * less time than it takes to map a file and to read its header. Not thread-safe.
 */
final class OpenUpdates implements AutoCloseable {

    private static final int MAX_OPEN = 256;

    private final ModelLayout layout;
    private final Map<PayloadRef, Update> open = new LinkedHashMap<>(16, 0.75f, true);

    OpenUpdates(ModelLayout layout) {
        this.layout = layout;
    }

    /**
     * A mapped update.
     *
     * @param file its tensors
     * @param tensors for each tensor of the model, the update's
     * @param addresses of the mapping's windows
     */
    record Update(TensorFile file, List<TensorInfo> tensors, long[] addresses) {

        /** Where an element of a tensor lies in memory. */
        long address(TensorInfo tensor, long element) {
            long offset =
                    file.header().dataOffset() + tensor.begin() + element * tensor.dtype().bytes();
            return addresses[(int) (offset / MappedFile.STRIDE)] + offset % MappedFile.STRIDE;
        }
    }

    Update get(PayloadRef payload) {
        Update known = open.get(payload);
        if (known != null) {
            RegionMappings.requireWhole(payload);
            return known;
        }
        if (open.size() >= MAX_OPEN) {
            Iterator<Update> eldest = open.values().iterator();
            eldest.next().file().close();
            eldest.remove();
        }
        TensorFile file =
                TensorFile.open(
                        RegionMappings.acquire(payload),
                        payload.length(),
                        payload.region()
                                ? layout.maxUpdateHeaderBytes()
                                : SafetensorsHeader.MAX_JSON_BYTES);
        long[] addresses =
                file.mapped().windows().stream().mapToLong(FloatKernel::address).toArray();
        Update update = new Update(file, layout.match(file.header()), addresses);
        open.put(payload, update);
        return update;
    }

    /** Closes those whose region has been released, so that its memory can go. */
    void sweep() {
        open.entrySet()
                .removeIf(
                        entry -> {
                            boolean over = RegionMappings.over(entry.getKey());
                            if (over) {
                                entry.getValue().file().close();
                            }
                            return over;
                        });
        RegionMappings.sweep();
    }

    @Override
    public void close() {
        open.values().forEach(update -> update.file().close());
        open.clear();
    }
}
