// SPDX-License-Identifier: Apache-2.0

package io.tributary.node;

import io.tributary.protocol.message.Names;
import java.util.HashMap;
import java.util.Map;

/** Counters by name. They last as long as their node. Thread-safe. */
final class CounterService {

    private final Map<String, Long> counters = new HashMap<>();

    /**
     * Adds to a counter. One that nobody has added to holds 0.
     *
     * @return what was in it before
     */
    synchronized long add(String counter, long delta) {
        Names.check("counter", counter);
        long before = counters.getOrDefault(counter, 0L);
        counters.put(counter, before + delta);
        return before;
    }
}
