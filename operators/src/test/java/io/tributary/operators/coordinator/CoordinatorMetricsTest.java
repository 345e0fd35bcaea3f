// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.coordinator;

import static org.assertj.core.api.Assertions.assertThat;

import io.tributary.operators.coordinator.CoordinatorState.Phase;
import io.tributary.protocol.RejectReason;
import io.tributary.protocol.message.Evaluation;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import org.apache.flink.metrics.Counter;
import org.apache.flink.metrics.Gauge;
import org.apache.flink.metrics.Metric;
import org.apache.flink.metrics.MetricGroup;
import org.apache.flink.metrics.SimpleCounter;
import org.apache.flink.metrics.groups.UnregisteredMetricsGroup;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class CoordinatorMetricsTest {

    /** A group that puts metrics into a map, by their names with those of groups before. */
    private static final class Group extends UnregisteredMetricsGroup {

        private final String prefix;
        private final Map<String, Metric> all;

        Group(String prefix, Map<String, Metric> all) {
            this.prefix = prefix;
            this.all = all;
        }

        @Override
        public Counter counter(String name) {
            Counter counter = new SimpleCounter();
            all.put(prefix + name, counter);
            return counter;
        }

        @Override
        public <T, G extends Gauge<T>> G gauge(String name, G gauge) {
            assertThat(all.put(prefix + name, gauge)).as("registered once").isNull();
            return gauge;
        }

        @Override
        public MetricGroup addGroup(String name) {
            return new Group(prefix + name + ".", all);
        }

        @Override
        public MetricGroup addGroup(String key, String value) {
            return addGroup(key).addGroup(value);
        }
    }

    private final Map<String, Metric> all = new TreeMap<>();
    private final CoordinatorMetrics metrics = new CoordinatorMetrics(new Group("", all));
    private final CoordinatorState state = new CoordinatorState();

    @BeforeEach
    void trainers() {
        state.trainers = new Trainers((trainer, entry) -> {});
    }

    private Object value(String gauge) {
        return ((Gauge<?>) all.get(gauge)).getValue();
    }

    @Test
    void theRoundIsShown() {
        state.round = 3;
        state.phase = Phase.OPEN;
        metrics.show(state);
        assertThat(value("round")).isEqualTo(3);
        assertThat(value("open")).isEqualTo(1);
        state.phase = Phase.EVALUATING;
        metrics.show(state);
        assertThat(value("open")).isEqualTo(0);
    }

    @Test
    void aMetricOfTrainersHasItsMeanAndSumAndEnds() {
        state.measured.add(Map.of("loss", 1.0), 1, "g", Set.of());
        state.measured.add(Map.of("loss", 4.0), 2, "g", Set.of());
        metrics.measured(state);
        assertThat(value("metric.loss.mean")).isEqualTo(3.0);
        assertThat(value("metric.loss.sum")).isEqualTo(5.0);
        assertThat(value("metric.loss.min")).isEqualTo(1.0);
        assertThat(value("metric.loss.max")).isEqualTo(4.0);
        assertThat(value("metric.loss.count")).isEqualTo(2L);
    }

    @Test
    void theNewestEvaluationIsShown() {
        state.evaluated(new Evaluation("run", 1, 0, Map.of("accuracy", 0.5), ""));
        metrics.show(state);
        assertThat(value("evaluation.accuracy.value")).isEqualTo(0.5);
        state.evaluated(new Evaluation("run", 2, 0, Map.of("accuracy", 0.75), ""));
        metrics.show(state);
        assertThat(value("evaluation.accuracy.value")).isEqualTo(0.75);
    }

    @Test
    void onlySoManyNamesAreShown() {
        for (int i = 0; i < 40; i++) {
            state.evaluated(new Evaluation("run", i, 0, Map.of("m-" + i, 1.0), ""));
            metrics.show(state);
        }
        assertThat(all.keySet()).filteredOn(name -> name.startsWith("evaluation.")).hasSize(32);
    }

    @Test
    void whatWasRejectedIsCountedByReason() {
        metrics.rejected(RejectReason.NOT_FINITE);
        metrics.dropped(4);
        metrics.duplicate();
        assertThat(((Counter) all.get("rejected.reason.NOT_FINITE.rejected")).getCount())
                .isEqualTo(1);
        assertThat(((Counter) all.get("metricsDropped")).getCount()).isEqualTo(4);
        assertThat(((Counter) all.get("duplicates")).getCount()).isEqualTo(1);
    }
}
