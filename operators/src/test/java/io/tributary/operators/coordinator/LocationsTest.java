// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.coordinator;

import static org.assertj.core.api.Assertions.assertThat;

import io.tributary.operators.aggregate.SubtaskAffinity;
import io.tributary.operators.testutils.Topologies;
import io.tributary.protocol.message.TrainerEvent.SubtaskLocated;
import io.tributary.protocol.topology.Topology;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class LocationsTest {

    private static final Topology TREE = Topologies.of(List.of(2, 1), 2);

    /** A source over a broker has no more than 16 subtasks, however many the tree has. */
    @ParameterizedTest
    @CsvSource({"4, 4, 4", "4, 2, 2", "2, 4, 4", "32, 16, 32", "32, 8, 8", "32, 32, 32"})
    void thereAreAsManySubtasksAsSourcesSay(int submitted, int reported, int expected) {
        Locations locations = new Locations(false, TREE, submitted);
        assertThat(locations.parallelism()).isEqualTo(submitted);

        locations.take(new SubtaskLocated(0, reported, ""));

        assertThat(locations.parallelism()).isEqualTo(expected);
        assertThat(locations.known()).isTrue();
        assertThat(locations.affinities()).isEmpty();
    }

    @Test
    void afterARescaleHostsHaveTheSubtasksOfNow() {
        Locations locations = new Locations(true, TREE, 6);
        assertThat(locations.known()).isFalse();
        locations.take(new SubtaskLocated(0, 3, "a"));
        locations.take(new SubtaskLocated(1, 3, "b"));
        assertThat(locations.known()).isFalse();
        locations.take(new SubtaskLocated(2, 3, "b"));

        assertThat(locations.known()).isTrue();
        assertThat(locations.affinities())
                .isEqualTo(
                        Map.of(
                                "a", SubtaskAffinity.of(List.of(0), 3),
                                "b", SubtaskAffinity.of(List.of(1, 2), 3)));
    }
}
