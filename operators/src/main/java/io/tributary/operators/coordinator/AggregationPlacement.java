// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.coordinator;

import io.tributary.operators.aggregate.SubtaskAffinity;
import io.tributary.operators.coordinator.CoordinatorState.AcceptedUpdate;
import io.tributary.protocol.topology.Topology.Node;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;

/**
 * Decides which hosts fold for which tree nodes, so that as little as possible passes between
 * hosts. A leaf folds on each host on which updates for it lie, and hands on a partial sum from
 * each. A node in the middle is at home where most of what it gets is, unless less passes when all
 * hosts fold their share of it. The top has no home: it keeps the global model. Pure.
 */
@Policy
final class AggregationPlacement {

    private AggregationPlacement() {}

    /**
     * A tree node that takes part in a round, as it is called there.
     *
     * @param name with its home
     * @param parent what it hands its sum to; empty for the root
     * @param contributions what it gets
     */
    record Seat(String name, String parent, int contributions) {}

    /**
     * What the leaf of an update is called on the host where that lies.
     *
     * @param subtasks that nodes without a home are dealt out to, or 0
     */
    static String leaf(AcceptedUpdate update, Map<String, SubtaskAffinity> homes, int subtasks) {
        return name(update.leaf(), home(update, homes), subtasks);
    }

    private static Optional<SubtaskAffinity> home(
            AcceptedUpdate update, Map<String, SubtaskAffinity> homes) {
        return Optional.ofNullable(homes.get(update.claim().payload().node()));
    }

    private static String name(String node, Optional<SubtaskAffinity> home, int subtasks) {
        if (node.isEmpty() || home.isEmpty() && subtasks == 0) {
            return node;
        }
        return home.orElseGet(() -> SubtaskAffinity.everywhere(subtasks)).name(node);
    }

    /**
     * For each level of the tree, the lowest first, the nodes that get anything.
     *
     * @param subtasks that nodes without a home are dealt out to, or 0
     */
    static List<List<Seat>> seats(
            List<List<Node>> tree,
            Iterable<AcceptedUpdate> updates,
            Map<String, SubtaskAffinity> homes,
            int subtasks) {
        List<List<Seat>> levels = new ArrayList<>();
        Map<String, Map<Optional<SubtaskAffinity>, Integer>> gets = new TreeMap<>();
        for (AcceptedUpdate update : updates) {
            gets.computeIfAbsent(update.leaf(), leaf -> new HashMap<>())
                    .merge(home(update, homes), 1, Integer::sum);
        }
        for (int level = 0; level < tree.size(); level++) {
            boolean belowTop = level + 2 < tree.size();
            Map<String, List<Optional<SubtaskAffinity>>> children = children(tree.get(level), gets);
            Map<String, Optional<SubtaskAffinity>> parents =
                    belowTop ? parents(children) : Map.of();
            List<Seat> seats = new ArrayList<>();
            Map<String, Map<Optional<SubtaskAffinity>, Integer>> above = new TreeMap<>();
            for (Node node : tree.get(level)) {
                Optional<SubtaskAffinity> parentHome =
                        parents.getOrDefault(node.parent(), Optional.empty());
                gets.getOrDefault(node.name(), Map.of())
                        .forEach(
                                (home, contributions) -> {
                                    seats.add(
                                            new Seat(
                                                    name(node.name(), home, subtasks),
                                                    name(node.parent(), parentHome, subtasks),
                                                    contributions));
                                    above.computeIfAbsent(node.parent(), parent -> new HashMap<>())
                                            .merge(parentHome, 1, Integer::sum);
                                });
            }
            levels.add(seats);
            gets = above;
        }
        return levels;
    }

    /** For each parent, where the sums come from that it gets. */
    private static Map<String, List<Optional<SubtaskAffinity>>> children(
            List<Node> nodes, Map<String, Map<Optional<SubtaskAffinity>, Integer>> gets) {
        Map<String, List<Optional<SubtaskAffinity>>> children = new TreeMap<>();
        for (Node node : nodes) {
            children.computeIfAbsent(node.parent(), parent -> new ArrayList<>())
                    .addAll(gets.getOrDefault(node.name(), Map.of()).keySet());
        }
        return children;
    }

    /** Where each parent is at home: of hosts that are as good the one that has the fewest yet. */
    private static Map<String, Optional<SubtaskAffinity>> parents(
            Map<String, List<Optional<SubtaskAffinity>>> children) {
        Map<String, Optional<SubtaskAffinity>> parents = new HashMap<>();
        Map<SubtaskAffinity, Integer> taken = new HashMap<>();
        children.forEach(
                (parent, from) -> {
                    Optional<SubtaskAffinity> best = Optional.empty();
                    double fewest = crossing(best, from);
                    for (Optional<SubtaskAffinity> home : new LinkedHashSet<>(from)) {
                        double crossing = crossing(home, from);
                        boolean emptier =
                                crossing == fewest && taken(home, taken) < taken(best, taken);
                        if (crossing < fewest || emptier) {
                            best = home;
                            fewest = crossing;
                        }
                    }
                    best.ifPresent(home -> taken.merge(home, 1, Integer::sum));
                    parents.put(parent, best);
                });
        return parents;
    }

    /** Nobody is everywhere too often. */
    private static int taken(Optional<SubtaskAffinity> home, Map<SubtaskAffinity, Integer> taken) {
        return home.map(h -> taken.getOrDefault(h, 0)).orElse(0);
    }

    /**
     * How many whole sums pass between hosts when a node is at {@code home}: those that it gets,
     * and its own, which goes to the top, where each host has its share.
     */
    private static double crossing(
            Optional<SubtaskAffinity> home, List<Optional<SubtaskAffinity>> from) {
        double in =
                from.stream()
                        .mapToDouble(
                                child ->
                                        child.equals(home)
                                                ? 0
                                                : child.isEmpty()
                                                        ? 1 - home.orElseThrow().share()
                                                        : home.isEmpty()
                                                                ? 1 - child.get().share()
                                                                : 1)
                        .sum();
        return in + home.map(h -> 1 - h.share()).orElse(0.0);
    }
}
