// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.coordinator;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.tributary.protocol.Json;
import io.tributary.protocol.message.Claim;
import io.tributary.protocol.message.MetricSummary;
import io.tributary.protocol.message.PayloadRef;
import io.tributary.protocol.message.UpdateKind;
import java.nio.charset.StandardCharsets;
import java.util.DoubleSummaryStatistics;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.IntStream;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.DoubleRange;
import net.jqwik.api.constraints.IntRange;
import net.jqwik.api.constraints.Size;
import org.junit.jupiter.api.Test;

class MeasuredTest {

    private static Claim claim(long samples, Map<String, Double> metrics) {
        return new Claim(
                "job",
                "t",
                1,
                0,
                1,
                samples,
                UpdateKind.WEIGHTS,
                0,
                true,
                new PayloadRef("/x", 0, 1, 0),
                metrics);
    }

    /** The group of an update is the remainder of its number; its samples follow from it too. */
    @Property
    void eachGroupAndAllTogetherAreSummedUp(
            @ForAll @Size(min = 1, max = 20)
                    List<@DoubleRange(min = -1e6, max = 1e6) Double> values,
            @ForAll @IntRange(min = 1, max = 4) int groups) {
        Measured measured = new Measured();
        for (int i = 0; i < values.size(); i++) {
            measured.add(
                    claim(1 + i % 5, Map.of("loss", values.get(i))), "g" + i % groups, Set.of());
        }
        requireSummary(values, 1, 0, measured.summaries().get("loss"));
        for (int group = 0; group < Math.min(groups, values.size()); group++) {
            requireSummary(values, groups, group, measured.groups().get("g" + group).get("loss"));
        }
        assertThat(measured.size()).isEqualTo(Math.min(groups, values.size()));
        // As a checkpoint brings it back.
        Measured again = Json.decode(Json.encode(measured), Measured.class);
        assertThat(again.summaries()).isEqualTo(measured.summaries());
        assertThat(again.groups()).isEqualTo(measured.groups());
    }

    private static void requireSummary(
            List<Double> values, int groups, int group, MetricSummary found) {
        int[] its = IntStream.range(0, values.size()).filter(i -> i % groups == group).toArray();
        DoubleSummaryStatistics all =
                IntStream.of(its).mapToDouble(values::get).summaryStatistics();
        double weight = IntStream.of(its).map(i -> 1 + i % 5).sum();
        double mean =
                IntStream.of(its).mapToDouble(i -> (1 + i % 5) * values.get(i)).sum() / weight;
        assertThat(found.count()).isEqualTo(all.getCount());
        assertThat(found.min()).isEqualTo(all.getMin());
        assertThat(found.max()).isEqualTo(all.getMax());
        assertThat(found.sum()).isCloseTo(all.getSum(), within(1e-6));
        assertThat(found.mean()).isCloseTo(mean, within(1e-6));
    }

    @Test
    void asManyMetricsAreKeptAsOneTrainerMaySendWithTheOneThatIsJudged() {
        Measured measured = new Measured();
        for (int update = 0; update < 3; update++) {
            Map<String, Double> metrics = new TreeMap<>();
            for (int i = 0; i < 32; i++) {
                metrics.put("m%d-%d".formatted(update, i), 1.0);
            }
            measured.add(claim(1, metrics), "g", Set.of("wanted"));
        }
        measured.add(claim(1, Map.of("other", 1.0, "wanted", 2.0)), "g", Set.of("wanted"));
        assertThat(measured.summaries()).hasSize(32).containsKey("wanted");
        assertThat(measured.summaries("g")).hasSize(32);
    }

    @Test
    void aSumThatOverflowsIsLeftOut() {
        Measured measured = new Measured();
        measured.add(claim(4, Map.of("loss", Double.MAX_VALUE, "accuracy", 0.5)), "g", Set.of());
        assertThat(measured.means()).containsOnlyKeys("accuracy");
    }

    /** A round that was open when the job was brought to this version goes on. */
    @Test
    void whatAnEarlierVersionSummedUpIsGoneOnWith() {
        Measured measured =
                Json.decode(
                        "{\"sums\":{\"loss\":{\"sum\":6.0,\"weight\":3.0}}}"
                                .getBytes(StandardCharsets.UTF_8),
                        Measured.class);
        measured.add(claim(1, Map.of("loss", 2.0)), "g", Set.of());
        assertThat(measured.summaries())
                .isEqualTo(Map.of("loss", new MetricSummary(1, 2, 2, 2, 2)));
    }
}
