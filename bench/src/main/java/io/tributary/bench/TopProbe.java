// SPDX-License-Identifier: Apache-2.0

package io.tributary.bench;

import com.sun.management.OperatingSystemMXBean;
import java.lang.management.ManagementFactory;
import java.util.HashMap;
import java.util.Map;

/** Notes when the top has emitted all shards of a round. The job runs in this very process. */
final class TopProbe {

    private static final OperatingSystemMXBean SYSTEM =
            (OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();
    private static final Map<Integer, Integer> COUNTS = new HashMap<>();
    private static final Map<Integer, End> ENDS = new HashMap<>();
    private static int shards;

    private TopProbe() {}

    /**
     * When it was.
     *
     * @param nanos {@link System#nanoTime}
     * @param cpuNanos CPU time of the process
     */
    record End(long nanos, long cpuNanos) {}

    static synchronized void reset(int shardsOfARound) {
        shards = shardsOfARound;
        COUNTS.clear();
        ENDS.clear();
    }

    static synchronized void shard(int round) {
        if (COUNTS.merge(round, 1, Integer::sum) == shards) {
            ENDS.put(round, new End(System.nanoTime(), SYSTEM.getProcessCpuTime()));
            TopProbe.class.notifyAll();
        }
    }

    static synchronized End await(int round) throws InterruptedException {
        while (!ENDS.containsKey(round)) {
            TopProbe.class.wait();
        }
        return ENDS.get(round);
    }
}
