// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.aggregate;

import io.tributary.protocol.message.PayloadRef;
import io.tributary.protocol.tensor.ModelLayout;
import io.tributary.protocol.tensor.SafetensorsHeader;
import io.tributary.protocol.tensor.TensorInfo;
import io.tributary.shm.region.TensorFile;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * The updates mapped by one subtask, the least recently used first. A shard is folded in less time
 * than it takes to map a file and to read its header. Not thread-safe.
 */
final class OpenUpdates implements AutoCloseable {

    /** A region's memory is only given back when its mapping goes, so few are kept. */
    private static final int REGIONS = 2;

    private static final int FILES = 256;

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
     */
    record Update(TensorFile file, List<TensorInfo> tensors) {}

    Update get(PayloadRef payload) {
        Update known = open.get(payload);
        if (known != null) {
            return known;
        }
        evict(payload.region() ? REGIONS - 1 : FILES - 1);
        TensorFile file =
                TensorFile.open(
                        payload,
                        payload.region()
                                ? layout.maxUpdateHeaderBytes()
                                : SafetensorsHeader.MAX_JSON_BYTES);
        Update update = new Update(file, layout.match(file.header()));
        open.put(payload, update);
        return update;
    }

    private void evict(int keep) {
        Iterator<Update> eldest = open.values().iterator();
        while (open.size() > keep) {
            eldest.next().file().close();
            eldest.remove();
        }
    }

    @Override
    public void close() {
        evict(0);
    }
}
