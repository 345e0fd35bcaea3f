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
     * Among which subtasks the folds of a round are dealt out.
     *
     * @param homes for each host, its subtasks; none where that is of no use
     * @param subtasks that nodes without a home are dealt out to; 0 where Flink's hash decides
     * @param root the top, which has the same keys at any parallelism; empty where it has not
     */
    record Deal(Map<String, SubtaskAffinity> homes, int subtasks, String root) {

        private String name(String node, Optional<SubtaskAffinity> home) {
            if (node.isEmpty()) {
                return node;
            }
            if (node.equals(root)) {
                return SubtaskAffinity.anywhere(node);
            }
            if (home.isPresent()) {
                return home.get().name(node);
            }
            return subtasks == 0 ? node : SubtaskAffinity.everywhere(subtasks).name(node);
        }

        private Optional<SubtaskAffinity> home(AcceptedUpdate update) {
            return Optional.ofNullable(homes.get(update.claim().payload().node()));
        }
    }

    /** What the leaf of an update is called on the host where that lies. */
    static String leaf(AcceptedUpdate update, Deal deal) {
        return deal.name(update.leaf(), deal.home(update));
    }

    /** What the top of a tree is called. */
    static String top(List<List<Node>> tree, Deal deal) {
        return deal.name(tree.get(tree.size() - 1).get(0).name(), Optional.empty());
    }

    /** For each level of the tree, the lowest first, the nodes that get anything. */
    static List<List<Seat>> seats(
            List<List<Node>> tree, Iterable<AcceptedUpdate> updates, Deal deal) {
        List<List<Seat>> levels = new ArrayList<>();
        Map<String, Map<Optional<SubtaskAffinity>, Integer>> gets = new TreeMap<>();
        for (AcceptedUpdate update : updates) {
            gets.computeIfAbsent(update.leaf(), leaf -> new HashMap<>())
                    .merge(deal.home(update), 1, Integer::sum);
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
                                                    deal.name(node.name(), home),
                                                    deal.name(node.parent(), parentHome),
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
