// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.testutils;

import io.tributary.protocol.Json;
import io.tributary.protocol.topology.Topology;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Trees for tests: each level's groups, with how many replicas. */
public final class Topologies {

    private Topologies() {}

    /**
     * @param groups groups of each channel, lowest first; group {@code g} of one level flows into
     *     group {@code g / fan} of the next
     * @param replica of each role below the top
     */
    public static Topology of(List<Integer> groups, int replica) {
        List<Object> roles = new ArrayList<>();
        List<Object> channels = new ArrayList<>();
        roles.add(role("r0", true, 1, associations(0, groups.get(0), 0, true)));
        for (int level = 0; level < groups.size(); level++) {
            boolean top = level == groups.size() - 1;
            channels.add(
                    Map.of(
                            "name",
                            "c" + level,
                            "pair",
                            List.of("r" + level, "r" + (level + 1)),
                            "groupBy",
                            Map.of("type", "tag", "value", tags(groups.get(level)))));
            roles.add(
                    role(
                            "r" + (level + 1),
                            false,
                            top ? 1 : replica,
                            associations(
                                    level,
                                    groups.get(level),
                                    top ? 0 : groups.get(level + 1),
                                    top)));
        }
        return Topology.parse("test", Json.encode(Map.of("roles", roles, "channels", channels)));
    }

    public static List<String> tags(int count) {
        List<String> tags = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            tags.add("g" + i);
        }
        return tags;
    }

    private static List<Map<String, String>> associations(
            int level, int groups, int above, boolean lowerOnly) {
        List<Map<String, String>> associations = new ArrayList<>();
        for (int g = 0; g < groups; g++) {
            Map<String, String> association = new LinkedHashMap<>();
            association.put("c" + level, "g" + g);
            if (!lowerOnly) {
                association.put("c" + (level + 1), "g" + g % above);
            }
            associations.add(association);
        }
        return associations;
    }

    private static Map<String, Object> role(
            String name, boolean data, int replica, List<Map<String, String>> associations) {
        return Map.of(
                "name",
                name,
                "isDataConsumer",
                data,
                "replica",
                replica,
                "groupAssociation",
                associations);
    }
}
