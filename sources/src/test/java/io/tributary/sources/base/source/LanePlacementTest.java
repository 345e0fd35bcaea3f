// SPDX-License-Identifier: Apache-2.0

package io.tributary.sources.base.source;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.IntStream;
import net.jqwik.api.Example;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import net.jqwik.api.constraints.Size;

class LanePlacementTest {

    private static List<LaneSplit> lanes(String... hosts) {
        return IntStream.range(0, hosts.length)
                .mapToObj(lane -> new LaneSplit(lane, false, hosts[lane]))
                .toList();
    }

    private static Map<String, Long> loads(
            Map<Integer, List<LaneSplit>> dealt, Map<Integer, String> readers, long... load) {
        Map<String, Long> loads = new TreeMap<>();
        dealt.forEach(
                (reader, lanes) ->
                        lanes.forEach(
                                lane ->
                                        loads.merge(
                                                readers.get(reader),
                                                load[lane.lane()],
                                                Long::sum)));
        return loads;
    }

    @Example
    void lanesGoToTheHostWhoseResidualCapacityTheyFitBest() {
        Map<Integer, String> readers = Map.of(0, "small", 1, "big", 2, "big", 3, "big");
        long[] load = {9, 5, 4, 2, 9, 7};
        // Each lane counts one more than its load: 42 in all, a quarter of it is small's.
        Map<Integer, List<LaneSplit>> dealt =
                new LanePlacement(readers, lane -> load[lane.lane()])
                        .anywhere(lanes("", "", "", "", "", ""));
        assertThat(loads(dealt, readers, load)).isEqualTo(Map.of("small", 9L, "big", 27L));
    }

    @Example
    void aLaneStaysWhereItWasWhileThereIsRoom() {
        Map<Integer, String> readers = Map.of(0, "a", 1, "b");
        Map<Integer, List<LaneSplit>> dealt =
                new LanePlacement(readers, lane -> 0).anywhere(lanes("b", "b", "b", "gone"));
        assertThat(dealt.get(1)).extracting(LaneSplit::lane).containsExactly(0, 1);
        assertThat(dealt.get(0)).extracting(LaneSplit::lane).containsExactly(2, 3);
        assertThat(dealt.get(0)).extracting(LaneSplit::host).containsOnly("a");
    }

    @Property
    void eachLaneIsDealtOnceAndNoReaderIsLeftOut(
            @ForAll @Size(min = 1, max = 16) List<@IntRange(max = 3) Integer> readerHosts,
            @ForAll @Size(16) List<@IntRange(max = 1000) Integer> loads,
            @ForAll @Size(16) List<@IntRange(max = 4) Integer> before) {
        Map<Integer, String> readers = new HashMap<>();
        for (int reader = 0; reader < readerHosts.size(); reader++) {
            readers.put(reader, "host" + readerHosts.get(reader));
        }
        Map<Integer, List<LaneSplit>> dealt =
                new LanePlacement(readers, lane -> loads.get(lane.lane()))
                        .anywhere(
                                lanes(before.stream().map(b -> "host" + b).toArray(String[]::new)));
        assertThat(dealt.keySet()).isEqualTo(readers.keySet());
        assertThat(dealt.values()).noneMatch(List::isEmpty);
        assertThat(dealt.values().stream().flatMap(List::stream).map(LaneSplit::lane))
                .containsExactlyInAnyOrderElementsOf(IntStream.range(0, 16).boxed().toList());
        dealt.forEach(
                (reader, lanes) ->
                        assertThat(lanes).allMatch(l -> l.host().equals(readers.get(reader))));
    }
}
