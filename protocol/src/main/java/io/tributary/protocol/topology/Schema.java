// SPDX-License-Identifier: Apache-2.0

package io.tributary.protocol.topology;

import io.tributary.protocol.RejectedException;
import io.tributary.protocol.message.Names;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/** The roles and channels of a {@code schema.json}, each checked where it stands. */
record Schema(TagDocument document, List<Role> roles, List<Channel> channels) {

    /** Where {@code groupBy} is missing or empty, all belong to this group. */
    static final String DEFAULT_GROUP = "default";

    /** Workers of one role; the coordinator keeps something for each. */
    private static final int MAX_WORKERS = 1 << 16;

    record Role(
            TagDocument at,
            String name,
            boolean data,
            int replica,
            List<Map<String, String>> associations) {

        /** The same with those of its entries that are in a channel's groups. */
        Role only(Channel channel) {
            return new Role(
                    at,
                    name,
                    data,
                    replica,
                    associations.stream()
                            .filter(
                                    a ->
                                            !a.containsKey(channel.name())
                                                    || channel.groups()
                                                            .contains(a.get(channel.name())))
                            .toList());
        }
    }

    record Channel(TagDocument at, String name, List<String> pair, List<String> groups) {

        /** The same with some of its groups. */
        Channel only(Set<String> some) {
            return new Channel(at, name, pair, groups.stream().filter(some::contains).toList());
        }

        boolean joins(String role) {
            return pair.contains(role);
        }

        String other(String role) {
            return pair.get(0).equals(role) ? pair.get(1) : pair.get(0);
        }
    }

    static Schema parse(TagDocument document) {
        TagDocument roles = document.at("roles");
        TagDocument channels = document.at("channels");
        if (roles.elements().isEmpty()) {
            throw roles.wrong("expected an array of roles");
        }
        if (channels.elements().isEmpty()) {
            throw channels.wrong("expected an array of channels");
        }
        List<String> roleNames = names(roles);
        List<Channel> parsed = new ArrayList<>();
        names(channels);
        for (TagDocument channel : channels.elements()) {
            parsed.add(channel(channel, roleNames));
        }
        Map<String, Channel> byName = new LinkedHashMap<>();
        parsed.forEach(c -> byName.put(c.name(), c));
        return new Schema(
                document,
                roles.elements().stream().map(role -> role(role, byName)).toList(),
                parsed);
    }

    private static List<String> names(TagDocument array) {
        List<String> names = new ArrayList<>();
        for (TagDocument element : array.elements()) {
            String name = element.at("name").text();
            if (names.contains(name)) {
                throw element.at("name").wrong("each name may stand once");
            }
            names.add(name);
        }
        return names;
    }

    private static Channel channel(TagDocument at, List<String> roles) {
        List<String> pair = new ArrayList<>();
        for (TagDocument end : at.at("pair").elements()) {
            if (!roles.contains(end.text())) {
                throw end.wrong(TopologyException.oneOf(roles));
            }
            pair.add(end.text());
        }
        if (pair.size() != 2) {
            throw at.at("pair").wrong("expected the names of two roles");
        }
        for (String role : at.at("funcTags").fieldNames()) {
            if (!pair.contains(role)) {
                throw at.at("funcTags")
                        .at(role)
                        .wrong("role '" + role + "'", TopologyException.oneOf(pair));
            }
        }
        List<String> groups = new ArrayList<>();
        for (TagDocument group : at.at("groupBy").at("value").elements()) {
            try {
                groups.add(Names.checkGroup(group.text()));
            } catch (RejectedException e) {
                throw group.wrong(e.getMessage());
            }
        }
        return new Channel(
                at,
                at.at("name").text(),
                List.copyOf(pair),
                groups.isEmpty() ? List.of(DEFAULT_GROUP) : groups.stream().distinct().toList());
    }

    private static Role role(TagDocument at, Map<String, Channel> channels) {
        String name = at.at("name").text();
        List<Map<String, String>> associations = new ArrayList<>();
        for (TagDocument entry : at.at("groupAssociation").elements()) {
            Map<String, String> association = new LinkedHashMap<>();
            for (String channel : entry.fieldNames()) {
                TagDocument tag = entry.at(channel);
                if (!channels.containsKey(channel)) {
                    throw tag.wrong(
                            "channel '" + channel + "'",
                            TopologyException.oneOf(channels.keySet()));
                }
                if (!channels.get(channel).groups().contains(tag.text())) {
                    throw tag.wrong(TopologyException.oneOf(channels.get(channel).groups()));
                }
                association.put(channel, tag.text());
            }
            associations.add(association);
        }
        if (associations.isEmpty()) {
            associations.add(onlyGroups(at, name, channels));
        }
        return new Role(
                at,
                name,
                at.at("isDataConsumer").flag(),
                replica(at.at("replica"), associations.size()),
                associations);
    }

    private static int replica(TagDocument at, int associations) {
        int replica = at.integerOr(1);
        if (replica < 1) {
            throw at.wrong("expected 1 or more; without one it is 1");
        }
        if ((long) replica * associations > MAX_WORKERS) {
            throw at.wrong(
                    "%d workers of one role, %d for each of its %d entries"
                            .formatted((long) replica * associations, replica, associations),
                    "a role has at most %d".formatted(MAX_WORKERS));
        }
        return replica;
    }

    /** Without {@code groupAssociation} a role belongs to the one group of each of its channels. */
    private static Map<String, String> onlyGroups(
            TagDocument role, String name, Map<String, Channel> channels) {
        Map<String, String> association = new LinkedHashMap<>();
        for (Channel channel : channels.values()) {
            if (!channel.joins(name)) {
                continue;
            }
            if (channel.groups().size() > 1) {
                throw role.at("groupAssociation")
                        .wrong(
                                "none",
                                "role '%s' needs one, because channel '%s' has the groups %s"
                                        .formatted(name, channel.name(), channel.groups()));
            }
            association.put(channel.name(), channel.groups().get(0));
        }
        return association;
    }

    Optional<Role> role(String name) {
        return roles.stream().filter(r -> r.name().equals(name)).findFirst();
    }
}
