// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.coordinator;

import static org.assertj.core.api.Assertions.assertThat;

import io.tributary.operators.aggregate.SubtaskAffinity;
import io.tributary.operators.coordinator.AggregationPlacement.Seat;
import io.tributary.operators.coordinator.TrainerEntry.Counted;
import io.tributary.protocol.topology.Topology.Node;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import net.jqwik.api.Example;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import net.jqwik.api.constraints.Size;

class AggregationPlacementTest {

    private static final Map<String, SubtaskAffinity> AFFINITIES =
            new TreeMap<>(
                    Map.of(
                            "a", SubtaskAffinity.of(List.of(0, 1), 6),
                            "b", SubtaskAffinity.of(List.of(2, 3), 6),
                            "c", SubtaskAffinity.of(List.of(4, 5), 6)));

    /** Leaves l1 to l3 below m1, l4 below m2. */
    private static final List<List<Node>> TREE =
            List.of(
                    List.of(
                            new Node("l1", "g1", "m1"),
                            new Node("l2", "g2", "m1"),
                            new Node("l3", "g3", "m1"),
                            new Node("l4", "g4", "m2")),
                    List.of(new Node("m1", "", "top"), new Node("m2", "", "top")),
                    List.of(new Node("top", "", "")));

    private static final AggregationPlacement.Deal DEAL =
            new AggregationPlacement.Deal(AFFINITIES, 6, "top");

    /**
     * An update that is folded at a leaf.
     *
     * @param leaf the leaf
     * @param host where it lies
     */
    private record Folded(String leaf, String host) {}

    private static Folded update(String leaf, String node) {
        return new Folded(leaf, node);
    }

    private static Counted counted(Folded update) {
        return new Counted(1, 0, 0, 1, update.leaf(), update.host(), 0, Optional.empty());
    }

    private static List<List<Seat>> seats(Folded... updates) {
        return seats(List.of(updates));
    }

    private static List<List<Seat>> seats(List<Folded> updates) {
        Map<String, Map<String, Integer>> contributions = new TreeMap<>();
        for (Folded update : updates) {
            contributions
                    .computeIfAbsent(update.leaf(), leaf -> new TreeMap<>())
                    .merge(update.host(), 1, Integer::sum);
        }
        return AggregationPlacement.seats(TREE, contributions, DEAL);
    }

    @Example
    void aLeafFoldsOnEachHostWhereUpdatesLie() {
        List<Seat> leaves = seats(update("l1", "a"), update("l1", "b"), update("l1", "a")).get(0);
        assertThat(leaves)
                .extracting(Seat::name, Seat::contributions)
                .containsExactlyInAnyOrder(
                        org.assertj.core.groups.Tuple.tuple("l1@0.1/6", 2),
                        org.assertj.core.groups.Tuple.tuple("l1@2.3/6", 1));
    }

    @Example
    void aMiddleIsWhereMostOfItsLeavesAre() {
        List<List<Seat>> seats = seats(update("l1", "a"), update("l2", "a"), update("l3", "b"));
        assertThat(seats.get(1)).extracting(Seat::name).containsExactly("m1@0.1/6");
        assertThat(seats.get(1).get(0).contributions()).isEqualTo(3);
        assertThat(seats.get(0)).extracting(Seat::parent).containsOnly("m1@0.1/6");
    }

    @Example
    void aMiddleOfLeavesOnAllHostsIsEverywhereSinceLessCrossesThen() {
        List<List<Seat>> seats = seats(update("l1", "a"), update("l2", "b"), update("l3", "c"));
        assertThat(seats.get(1)).extracting(Seat::name).containsExactly("m1@/6");
    }

    @Example
    void theTopHasNoHome() {
        List<Seat> top = seats(update("l1", "a"), update("l4", "b")).get(2);
        assertThat(top).extracting(Seat::name).containsExactly("top@*");
        assertThat(top.get(0).contributions()).isEqualTo(2);
    }

    @Example
    void whatLiesOnAHostWithoutSubtasksIsFoldedByAll() {
        assertThat(seats(update("l1", "elsewhere")).get(0))
                .extracting(Seat::name)
                .containsExactly("l1@/6");
    }

    /** Every sum that is emitted is expected by its parent, and no other. */
    @Property
    void whatIsHandedOnIsWaitedFor(
            @ForAll @Size(min = 1, max = 40) List<@IntRange(min = 0, max = 19) Integer> where) {
        List<Folded> updates = new ArrayList<>();
        List<String> nodes = List.of("a", "b", "c", "", "gone");
        for (int each : where) {
            updates.add(update("l" + (1 + each % 4), nodes.get(each / 4)));
        }
        List<List<Seat>> seats = seats(updates);
        assertThat(seats.get(0).stream().mapToInt(Seat::contributions).sum())
                .isEqualTo(updates.size());
        for (int level = 0; level + 1 < seats.size(); level++) {
            Map<String, Integer> handed = new HashMap<>();
            seats.get(level).forEach(seat -> handed.merge(seat.parent(), 1, Integer::sum));
            Map<String, Integer> waited = new HashMap<>();
            seats.get(level + 1).forEach(seat -> waited.put(seat.name(), seat.contributions()));
            assertThat(waited).isEqualTo(handed);
        }
        updates.forEach(
                update ->
                        assertThat(seats.get(0))
                                .anyMatch(
                                        seat ->
                                                seat.name()
                                                        .equals(
                                                                AggregationPlacement.leaf(
                                                                        counted(update), DEAL))));
    }
}
