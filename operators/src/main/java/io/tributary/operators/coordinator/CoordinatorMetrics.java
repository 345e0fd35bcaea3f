// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.coordinator;

import io.tributary.protocol.RejectReason;
import java.util.EnumMap;
import java.util.Map;
import org.apache.flink.metrics.Counter;
import org.apache.flink.metrics.MetricGroup;

/**
 * The coordinator's metrics: gauges {@code round}, {@code open} (0 or 1), {@code updates} counted
 * in the round and {@code missing} of those awaited; counters {@code duplicates} and {@code
 * rejected.reason.<REASON>.rejected}, one for each {@link RejectReason}.
 */
final class CoordinatorMetrics {

    private final Counter duplicates;
    private final Map<RejectReason, Counter> rejected = new EnumMap<>(RejectReason.class);
    private volatile int round;
    private volatile int open;
    private volatile int updates;
    private volatile int missing;

    CoordinatorMetrics(MetricGroup group) {
        group.gauge("round", () -> round);
        group.gauge("open", () -> open);
        group.gauge("updates", () -> updates);
        group.gauge("missing", () -> missing);
        duplicates = group.counter("duplicates");
        for (RejectReason reason : RejectReason.values()) {
            if (reason != RejectReason.NONE) {
                rejected.put(
                        reason,
                        group.addGroup("rejected")
                                .addGroup("reason", reason.name())
                                .counter("rejected"));
            }
        }
    }

    void show(CoordinatorState state) {
        round = state.round;
        open = state.phase == CoordinatorState.Phase.OPEN ? 1 : 0;
        updates = state.trainers.counted();
        missing = state.trainers.awaited();
    }

    void duplicate() {
        duplicates.inc();
    }

    void rejected(RejectReason reason) {
        rejected.get(reason).inc();
    }
}
