// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.coordinator;

import io.tributary.protocol.RejectReason;
import io.tributary.protocol.message.Evaluation;
import io.tributary.protocol.message.MetricSummary;
import io.tributary.protocol.message.Metrics;
import java.util.EnumMap;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.flink.metrics.Counter;
import org.apache.flink.metrics.MetricGroup;

/**
 * The coordinator's metrics: gauges {@code round}, {@code open} (0 or 1), {@code updates} counted
 * in the round and {@code missing} of those awaited; counters {@code duplicates}, {@code
 * metricsDropped} and {@code rejected.reason.<REASON>.rejected}, one for each {@link RejectReason}.
 * Of each metric of trainers, gauges {@code metric.<NAME>.mean}, {@code sum}, {@code min}, {@code
 * max} and {@code count}, of the newest round in which it was measured; of the first 32 metrics
 * that the job's attempt has seen. Of each metric of evaluations, a gauge {@code
 * evaluation.<NAME>.value} of the newest evaluation that has it; of the first 32 as well.
 */
final class CoordinatorMetrics {

    private final MetricGroup group;
    private final Map<String, MetricSummary> measured = new ConcurrentHashMap<>();
    private final Map<String, Double> evaluated = new ConcurrentHashMap<>();
    private Optional<Evaluation> evaluation = Optional.empty();
    private final Counter duplicates;
    private final Counter metricsDropped;
    private final Map<RejectReason, Counter> rejected = new EnumMap<>(RejectReason.class);
    private volatile int round;
    private volatile int open;
    private volatile int updates;
    private volatile int missing;

    CoordinatorMetrics(MetricGroup group) {
        this.group = group;
        group.gauge("round", () -> round);
        group.gauge("open", () -> open);
        group.gauge("updates", () -> updates);
        group.gauge("missing", () -> missing);
        duplicates = group.counter("duplicates");
        metricsDropped = group.counter("metricsDropped");
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
        if (!state.evaluation().equals(evaluation)) {
            evaluation = state.evaluation();
            evaluation.ifPresent(its -> its.metrics().forEach(this::evaluated));
        }
    }

    private void evaluated(String name, double value) {
        if (evaluated.containsKey(name)) {
            evaluated.put(name, value);
        } else if (evaluated.size() < Metrics.MAX_COUNT) {
            evaluated.put(name, value);
            group.addGroup("evaluation", name).gauge("value", () -> evaluated.get(name));
        }
    }

    /** An update has come. */
    void measured(CoordinatorState state) {
        state.measured.summaries().forEach(this::measured);
    }

    private void measured(String name, MetricSummary summary) {
        if (measured.containsKey(name)) {
            measured.put(name, summary);
        } else if (measured.size() < Metrics.MAX_COUNT) {
            measured.put(name, summary);
            MetricGroup its = group.addGroup("metric", name);
            its.gauge("mean", () -> measured.get(name).mean());
            its.gauge("sum", () -> measured.get(name).sum());
            its.gauge("min", () -> measured.get(name).min());
            its.gauge("max", () -> measured.get(name).max());
            its.gauge("count", () -> measured.get(name).count());
        }
    }

    /** So many metrics of an update cannot be kept, for example because they are not finite. */
    void dropped(int metrics) {
        metricsDropped.inc(metrics);
    }

    void duplicate() {
        duplicates.inc();
    }

    void rejected(RejectReason reason) {
        rejected.get(reason).inc();
    }
}
