// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.coordinator;

import io.tributary.operators.aggregate.SubtaskAffinity;
import io.tributary.operators.coordinator.TrainerEntry.Counted;
import io.tributary.protocol.message.Claim;
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
 * each. A middle node is on the host with most of its children's sums, unless less passes when all
 * hosts fold their share of it. The top has no affinity: it keeps the global model. Pure.
 */
@Policy
final class AggregationPlacement {

    private AggregationPlacement() {}

    /**
     * A tree node that takes part in a round, as it is called there.
     *
     * @param name with its affinity
     * @param parent what it hands its sum to; empty for the root
     * @param contributions what it gets
     */
    record Seat(String name, String parent, int contributions) {}

    /**
     * Among which subtasks the folds of a round are dealt out.
     *
     * @param affinities for each host, its subtasks; none where that is of no use
     * @param subtasks that nodes without an affinity are dealt out to; 0 where Flink's hash decides
     * @param root the top, which has the same keys at any parallelism; empty where it has not
     */
    record Deal(Map<String, SubtaskAffinity> affinities, int subtasks, String root) {

        private String name(String node, Optional<SubtaskAffinity> affinity) {
            if (node.isEmpty()) {
                return node;
            }
            if (node.equals(root)) {
                return SubtaskAffinity.anywhere(node);
            }
            if (affinity.isPresent()) {
                return affinity.get().name(node);
            }
            return subtasks == 0 ? node : SubtaskAffinity.everywhere(subtasks).name(node);
        }

        /** The host on which an update is folded; empty where that does not matter. */
        String host(Claim claim) {
            String node = claim.payload().node();
            return affinities.containsKey(node) ? node : "";
        }

        private Optional<SubtaskAffinity> affinity(String host) {
            return Optional.ofNullable(affinities.get(host));
        }
    }

    /** What the leaf of an update is called on the host where that lies. */
    static String leaf(Counted update, Deal deal) {
        return deal.name(update.leaf(), deal.affinity(update.node()));
    }

    /** What the top of a tree is called. */
    static String top(List<List<Node>> tree, Deal deal) {
        return deal.name(tree.get(tree.size() - 1).get(0).name(), Optional.empty());
    }

    /**
     * For each level of the tree, the lowest first, the nodes that get anything.
     *
     * @param contributions for each leaf, how many updates it folds on each host
     */
    static List<List<Seat>> seats(
            List<List<Node>> tree, Map<String, Map<String, Integer>> contributions, Deal deal) {
        List<List<Seat>> levels = new ArrayList<>();
        Map<String, Map<Optional<SubtaskAffinity>, Integer>> gets = byAffinity(contributions, deal);
        for (int level = 0; level < tree.size(); level++) {
            boolean belowTop = level + 2 < tree.size();
            Map<String, List<Optional<SubtaskAffinity>>> children = children(tree.get(level), gets);
            Map<String, Optional<SubtaskAffinity>> parents =
                    belowTop ? parents(children) : Map.of();
            List<Seat> seats = new ArrayList<>();
            Map<String, Map<Optional<SubtaskAffinity>, Integer>> above = new TreeMap<>();
            for (Node node : tree.get(level)) {
                Optional<SubtaskAffinity> parentAffinity =
                        parents.getOrDefault(node.parent(), Optional.empty());
                gets.getOrDefault(node.name(), Map.of())
                        .forEach(
                                (affinity, gotten) -> {
                                    seats.add(
                                            new Seat(
                                                    deal.name(node.name(), affinity),
                                                    deal.name(node.parent(), parentAffinity),
                                                    gotten));
                                    above.computeIfAbsent(node.parent(), parent -> new HashMap<>())
                                            .merge(parentAffinity, 1, Integer::sum);
                                });
            }
            levels.add(seats);
            gets = above;
        }
        return levels;
    }

    private static Map<String, Map<Optional<SubtaskAffinity>, Integer>> byAffinity(
            Map<String, Map<String, Integer>> contributions, Deal deal) {
        Map<String, Map<Optional<SubtaskAffinity>, Integer>> gets = new TreeMap<>();
        contributions.forEach(
                (leaf, hosts) ->
                        hosts.forEach(
                                (host, updates) ->
                                        gets.computeIfAbsent(leaf, name -> new HashMap<>())
                                                .merge(
                                                        deal.affinity(host),
                                                        updates,
                                                        Integer::sum)));
        return gets;
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

    /** The host of each parent: among equally good hosts the one with the fewest so far. */
    private static Map<String, Optional<SubtaskAffinity>> parents(
            Map<String, List<Optional<SubtaskAffinity>>> children) {
        Map<String, Optional<SubtaskAffinity>> parents = new HashMap<>();
        Map<SubtaskAffinity, Integer> taken = new HashMap<>();
        children.forEach(
                (parent, from) -> {
                    Optional<SubtaskAffinity> best = Optional.empty();
                    double fewest = crossing(best, from);
                    for (Optional<SubtaskAffinity> affinity : new LinkedHashSet<>(from)) {
                        double crossing = crossing(affinity, from);
                        boolean emptier =
                                crossing == fewest && taken(affinity, taken) < taken(best, taken);
                        if (crossing < fewest || emptier) {
                            best = affinity;
                            fewest = crossing;
                        }
                    }
                    best.ifPresent(affinity -> taken.merge(affinity, 1, Integer::sum));
                    parents.put(parent, best);
                });
        return parents;
    }

    /** Nobody is everywhere too often. */
    private static int taken(
            Optional<SubtaskAffinity> affinity, Map<SubtaskAffinity, Integer> taken) {
        return affinity.map(h -> taken.getOrDefault(h, 0)).orElse(0);
    }

    /**
     * How many whole sums pass between hosts when a node is at {@code affinity}: those that it
     * gets, and its own, which goes to the top, where each host has its share.
     */
    private static double crossing(
            Optional<SubtaskAffinity> affinity, List<Optional<SubtaskAffinity>> from) {
        double in =
                from.stream()
                        .mapToDouble(
                                child ->
                                        child.equals(affinity)
                                                ? 0
                                                : child.isEmpty()
                                                        ? 1 - affinity.orElseThrow().share()
                                                        : affinity.isEmpty()
                                                                ? 1 - child.get().share()
                                                                : 1)
                        .sum();
        return in + affinity.map(h -> 1 - h.share()).orElse(0.0);
    }
}
