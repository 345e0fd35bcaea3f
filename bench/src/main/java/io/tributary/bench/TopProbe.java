// SPDX-License-Identifier: Apache-2.0

package io.tributary.bench;

import com.sun.management.OperatingSystemMXBean;
import io.tributary.job.graph.LocalFlink;
import java.lang.management.ManagementFactory;
import java.time.Duration;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.ExecutionException;

/** Notes when the top has emitted all shards of a round. The job runs in this very process. */
final class TopProbe {

    private static final OperatingSystemMXBean SYSTEM =
            (OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();
    private static final Map<Integer, Integer> COUNTS = new HashMap<>();
    private static final Map<Integer, End> ENDS = new HashMap<>();
    private static int shards;
    private static LocalFlink flink;

    private static final Duration PATIENCE = Duration.ofMinutes(2);

    private TopProbe() {}

    /**
     * When it was.
     *
     * @param nanos {@link System#nanoTime}
     * @param cpuNanos CPU time of the process
     */
    record End(long nanos, long cpuNanos) {}

    static synchronized void reset(int shardsOfARound, LocalFlink cluster) {
        shards = shardsOfARound;
        flink = cluster;
        COUNTS.clear();
        ENDS.clear();
    }

    private static synchronized LocalFlink cluster() {
        return flink;
    }

    static synchronized void shard(int round) {
        if (COUNTS.merge(round, 1, Integer::sum) == shards) {
            ENDS.put(round, new End(System.nanoTime(), SYSTEM.getProcessCpuTime()));
            TopProbe.class.notifyAll();
        }
    }

    /**
     * Waits for the round's last shard.
     *
     * @throws IllegalStateException if the job has failed, or the round takes more than two minutes
     */
    static End await(int round) throws ExecutionException, InterruptedException {
        long until = System.nanoTime() + PATIENCE.toNanos();
        while (true) {
            synchronized (TopProbe.class) {
                if (ENDS.containsKey(round)) {
                    return ENDS.get(round);
                }
                TopProbe.class.wait(1000);
            }
            cluster().check();
            if (System.nanoTime() > until) {
                throw new IllegalStateException(
                        "round %d has not ended in %d s; the log says more"
                                .formatted(round, PATIENCE.toSeconds()));
            }
        }
    }
}
