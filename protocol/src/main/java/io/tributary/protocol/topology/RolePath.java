// SPDX-License-Identifier: Apache-2.0

package io.tributary.protocol.topology;

import io.tributary.protocol.topology.Schema.Channel;
import io.tributary.protocol.topology.Schema.Role;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Collectors;

/**
 * The way from the trainer role up to the root.
 *
 * @param roles trainer first, root last; 2 to 4 of them
 * @param channels {@code channels.get(i)} joins {@code roles.get(i)} and {@code roles.get(i + 1)}
 * @param all the trainers' groups, also those that are not on this way
 */
record RolePath(List<Role> roles, List<Channel> channels, List<String> all) {

    /** Tiers of roles that a job can have, trainers included. */
    static final int MAX_TIERS = 4;

    static RolePath of(Schema schema) {
        Role trainer = trainer(schema);
        rejectCycles(schema);
        requireAllReachable(schema, trainer);
        List<Role> roles = new ArrayList<>(List.of(trainer));
        List<Channel> channels = new ArrayList<>();
        Role current = trainer;
        Optional<Channel> onward = onward(schema, current, channels);
        while (onward.isPresent()) {
            channels.add(onward.get());
            current = schema.role(onward.get().other(current.name())).orElseThrow();
            roles.add(current);
            onward = onward(schema, current, channels);
        }
        requireTiers(schema, roles);
        return new RolePath(List.copyOf(roles), List.copyOf(channels), channels.get(0).groups());
    }

    /** The part of it that flows into one group of the root's channel. */
    RolePath of(String rootGroup) {
        List<Role> restricted = new ArrayList<>(roles);
        List<Channel> narrow = new ArrayList<>(channels);
        Set<String> groups = Set.of(rootGroup);
        for (int i = channels.size() - 1; i >= 0; i--) {
            Channel channel = channels.get(i).only(groups);
            narrow.set(i, channel);
            restricted.set(i + 1, restricted.get(i + 1).only(channel));
            restricted.set(i, restricted.get(i).only(channel));
            if (i > 0) {
                String below = channels.get(i - 1).name();
                groups =
                        restricted.get(i).associations().stream()
                                .map(association -> association.get(below))
                                .collect(Collectors.toSet());
            }
        }
        return new RolePath(List.copyOf(restricted), List.copyOf(narrow), all);
    }

    private static void requireAllReachable(Schema schema, Role trainer) {
        Set<String> reachable = reachable(schema, trainer.name());
        for (Role role : schema.roles()) {
            if (!reachable.contains(role.name())) {
                throw role.at()
                        .at("name")
                        .wrong(
                                "role '%s' without an upward path".formatted(role.name()),
                                "link it with a channel to the path from '%s' to the root"
                                        .formatted(trainer.name()));
            }
        }
    }

    /** The one channel that leads on from a role, by none that was taken; empty at the root. */
    private static Optional<Channel> onward(Schema schema, Role current, List<Channel> taken) {
        List<Channel> onward =
                schema.channels().stream()
                        .filter(channel -> channel.joins(current.name()))
                        .filter(channel -> !taken.contains(channel))
                        .toList();
        if (onward.size() > 1) {
            Channel second = onward.get(1);
            throw second.at()
                    .at("pair")
                    .wrong(
                            "two roots: '%s' leads to '%s' and to '%s'"
                                    .formatted(
                                            current.name(),
                                            onward.get(0).other(current.name()),
                                            second.other(current.name())),
                            "each role has one channel towards the single root");
        }
        return onward.stream().findFirst();
    }

    private static void requireTiers(Schema schema, List<Role> roles) {
        if (roles.size() < 2) {
            Role trainer = roles.get(0);
            throw trainer.at()
                    .at("name")
                    .wrong(
                            "role '%s' without an upward path".formatted(trainer.name()),
                            "link it with a channel to an aggregator");
        }
        if (roles.size() > MAX_TIERS) {
            throw schema.document()
                    .at("roles")
                    .wrong(roles.size() + " tiers", "2 to " + MAX_TIERS + " are allowed");
        }
    }

    private static Role trainer(Schema schema) {
        for (Channel channel : schema.channels()) {
            if (channel.pair().stream().allMatch(r -> schema.role(r).orElseThrow().data())) {
                throw channel.at()
                        .at("pair")
                        .wrong(
                                "two data roles linked: " + channel.pair(),
                                "a role with isDataConsumer is linked to an aggregator");
            }
        }
        List<Role> data = schema.roles().stream().filter(Role::data).toList();
        if (data.isEmpty()) {
            throw schema.document()
                    .at("roles")
                    .wrong("no data role", "one role must have \"isDataConsumer\": true");
        }
        if (data.size() > 1) {
            throw data.get(1)
                    .at()
                    .at("isDataConsumer")
                    .wrong(
                            "a second data role besides '" + data.get(0).name() + "'",
                            "one role may have \"isDataConsumer\": true");
        }
        return data.get(0);
    }

    /** Union-find over the channels: one whose two roles are linked already closes a cycle. */
    private static void rejectCycles(Schema schema) {
        Map<String, String> parent = new HashMap<>();
        for (Channel channel : schema.channels()) {
            String a = find(parent, channel.pair().get(0));
            String b = find(parent, channel.pair().get(1));
            if (a.equals(b)) {
                throw channel.at()
                        .at("pair")
                        .wrong(
                                "a cycle: %s are linked by other channels already"
                                        .formatted(channel.pair()),
                                "channels form a path from the data role to the root");
            }
            parent.put(a, b);
        }
    }

    private static String find(Map<String, String> parent, String role) {
        String at = role;
        while (parent.containsKey(at)) {
            at = parent.get(at);
        }
        return at;
    }

    private static Set<String> reachable(Schema schema, String from) {
        Set<String> seen = new HashSet<>(Set.of(from));
        List<String> open = new ArrayList<>(seen);
        while (!open.isEmpty()) {
            String role = open.remove(open.size() - 1);
            for (Channel channel : schema.channels()) {
                if (channel.joins(role) && seen.add(channel.other(role))) {
                    open.add(channel.other(role));
                }
            }
        }
        return seen;
    }
}
