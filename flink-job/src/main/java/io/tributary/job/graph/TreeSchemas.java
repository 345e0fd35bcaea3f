// SPDX-License-Identifier: Apache-2.0

package io.tributary.job.graph;

import io.tributary.protocol.Json;
import io.tributary.protocol.topology.Topology;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

/** Topologies of 2, 3 and 4 tiers over given groups, written as a TAG like anybody else's. */
public final class TreeSchemas {

    private static final List<String> ROLES =
            List.of("leaf-aggregator", "middle-aggregator", "top-aggregator");

    /** The one group of a tree of 2 tiers. */
    public static final String ALL = "default";

    private TreeSchemas() {}

    /**
     * Trainers under the given groups. With 2 tiers all trainers are of one group, {@link #ALL},
     * since each group right below the root would have a model of its own. With 3 tiers each group
     * has a middle aggregator; with 4 each group has {@code leaves} leaf aggregators and shares a
     * middle with the groups of the same first path element.
     *
     * @param tiers 2, 3 or 4, trainers included
     * @param groups the trainers' groups, at least one
     * @param leaves leaf aggregators of each group, ≥ 1
     */
    public static Topology of(int tiers, List<String> groups, int leaves) {
        return Topology.parse(tiers + "tier", json(tiers, groups, leaves));
    }

    /** The same as the file that it could be read from. */
    public static byte[] json(int tiers, List<String> groups, int leaves) {
        if (tiers < 2 || tiers > 4) {
            throw new IllegalArgumentException("a tree has 2, 3 or 4 tiers, not " + tiers);
        }
        List<String> trainerGroups = tiers == 2 ? List.of(ALL) : groups;
        List<Map<String, Object>> roles = new ArrayList<>();
        List<Map<String, Object>> channels = new ArrayList<>();
        roles.add(
                role(
                        "trainer",
                        1,
                        trainerGroups.stream().map(g -> Map.of("trainer-channel", g)).toList(),
                        true));
        List<String> below = trainerGroups;
        String lower = "trainer";
        for (String role : ROLES.subList(4 - tiers, ROLES.size())) {
            boolean top = role.equals("top-aggregator");
            String channel = lower + "-channel";
            String upper = role + "-channel";
            channels.add(channel(channel, lower, role, below));
            List<Map<String, String>> associations =
                    below.stream()
                            .map(
                                    g ->
                                            top
                                                    ? Map.of(channel, g)
                                                    : Map.of(channel, g, upper, above(role, g)))
                            .toList();
            roles.add(role(role, role.equals("leaf-aggregator") ? leaves : 1, associations, false));
            below = top ? List.of() : below.stream().map(g -> above(role, g)).distinct().toList();
            lower = role;
        }
        return Json.encode(Map.of("roles", roles, "channels", channels));
    }

    private static String above(String role, String group) {
        return role.equals("leaf-aggregator")
                ? Stream.of(group.split("/")).findFirst().orElse(group)
                : ALL;
    }

    private static Map<String, Object> role(
            String name, int replica, List<Map<String, String>> associations, boolean data) {
        Map<String, Object> role = new LinkedHashMap<>();
        role.put("name", name);
        role.put("isDataConsumer", data);
        role.put("replica", replica);
        role.put("groupAssociation", associations);
        return role;
    }

    private static Map<String, Object> channel(
            String name, String lower, String upper, List<String> groups) {
        return Map.of(
                "name", name,
                "pair", List.of(lower, upper),
                "groupBy", Map.of("type", "tag", "value", groups));
    }
}
