// SPDX-License-Identifier: Apache-2.0

package io.tributary.protocol.topology;

import io.tributary.protocol.topology.Schema.Channel;
import io.tributary.protocol.topology.Schema.Role;
import io.tributary.protocol.topology.Topology.Node;
import io.tributary.protocol.topology.Topology.Task;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Collectors;

/** Turns a schema and, where there is one, a data specification into a topology. */
final class TopologyCompiler {

    private TopologyCompiler() {}

    static Topology compile(TagDocument schemaDocument, Optional<TagDocument> dataSpec) {
        RolePath path = path(schemaDocument);
        rejectSeveralModels(path);
        return compile(path, dataSpec);
    }

    /** The topology of each model, by its group of the root's channel. */
    static Map<String, Topology> compileEach(
            TagDocument schemaDocument, Optional<TagDocument> dataSpec) {
        RolePath path = path(schemaDocument);
        Map<String, Topology> each = new LinkedHashMap<>();
        Channel top = path.channels().get(path.channels().size() - 1);
        Set<String> names = new HashSet<>();
        for (String group : top.groups()) {
            if (!names.add(group.replace('/', '.'))) {
                throw top.at()
                        .at("groupBy")
                        .at("value")
                        .wrong(
                                "two groups of the root's channel that become '%s' in the names of their models"
                                        .formatted(group.replace('/', '.')),
                                "names that differ in more than dots and slashes");
            }
            RolePath its = path.of(group);
            requireRoot(path, its, group);
            each.put(group, compile(its, dataSpec));
        }
        return each;
    }

    /** A model has a root, and trainers. */
    private static void requireRoot(RolePath path, RolePath its, String group) {
        for (int role : new int[] {path.roles().size() - 1, path.roles().size() - 2}) {
            if (its.roles().get(role).associations().isEmpty()) {
                Role without = path.roles().get(role);
                throw without.at()
                        .at("groupAssociation")
                        .wrong(
                                "no entry for group '%s' of channel '%s'"
                                        .formatted(
                                                group,
                                                path.channels()
                                                        .get(path.channels().size() - 1)
                                                        .name()),
                                "each group of the root's channel is a model, and needs '%s'"
                                        .formatted(without.name()));
            }
        }
    }

    private static RolePath path(TagDocument schemaDocument) {
        RolePath path = RolePath.of(Schema.parse(schemaDocument));
        for (int i = 1; i + 1 < path.roles().size(); i++) {
            rejectFinerGrouping(
                    path.roles().get(i), path.channels().get(i - 1), path.channels().get(i));
        }
        return path;
    }

    private static Topology compile(RolePath path, Optional<TagDocument> dataSpec) {
        List<Task> tasks = new ArrayList<>();
        for (Role role : path.roles().subList(1, path.roles().size())) {
            for (Map<String, String> association : role.associations()) {
                for (int replica = 0; replica < role.replica(); replica++) {
                    tasks.add(new Task(role.name(), association, ""));
                }
            }
        }
        dataSpec.ifPresent(spec -> tasks.addAll(dataTasks(spec, path)));
        tasks.sort(Comparator.comparing(Task::role));
        Map<String, List<String>> groups = new LinkedHashMap<>();
        path.channels().forEach(c -> groups.put(c.name(), c.groups()));
        return new Topology(
                path.roles().stream().map(Role::name).toList(), groups, tasks, tree(path));
    }

    /** Flame gives each group of the root a worker, and so a model, of its own. */
    private static void rejectSeveralModels(RolePath path) {
        Role root = path.roles().get(path.roles().size() - 1);
        Channel below = path.channels().get(path.channels().size() - 1);
        if (below.groups().size() > 1) {
            throw root.at()
                    .at("groupAssociation")
                    .wrong(
                            "%d groups of channel '%s' below the root role '%s', so %1$d models"
                                    .formatted(below.groups().size(), below.name(), root.name()),
                            "one group and one model; put an aggregator role between, or submit a job.yaml, where each group is a model");
        }
    }

    /** One group below must flow into one group above, and not into a narrower one. */
    private static void rejectFinerGrouping(Role role, Channel below, Channel above) {
        Map<String, String> up = new HashMap<>();
        for (int i = 0; i < role.associations().size(); i++) {
            Map<String, String> association = role.associations().get(i);
            TagDocument at = role.at().at("groupAssociation").at(i);
            String lower = tag(at, role, association, below);
            String upper = tag(at, role, association, above);
            String other = up.putIfAbsent(lower, upper);
            if (other != null && !other.equals(upper) || upper.startsWith(lower + "/")) {
                throw at.at(above.name())
                        .wrong(
                                "group '%s' of channel '%s' split over finer groups of '%s'"
                                        .formatted(lower, below.name(), above.name()),
                                "a grouping higher up may not be finer than the one below it");
            }
        }
        for (String group : below.groups()) {
            if (!up.containsKey(group)) {
                throw role.at()
                        .at("groupAssociation")
                        .wrong(
                                "no entry for group '%s' of channel '%s'"
                                        .formatted(group, below.name()),
                                "each group below needs an aggregator");
            }
        }
    }

    private static String tag(
            TagDocument at, Role role, Map<String, String> association, Channel channel) {
        String tag = association.get(channel.name());
        if (tag == null) {
            throw at.wrong(
                    "role '%s' should name its group on channel '%s', one of %s"
                            .formatted(role.name(), channel.name(), channel.groups()));
        }
        return tag;
    }

    private static List<Task> dataTasks(TagDocument spec, RolePath path) {
        Role trainer = path.roles().get(0);
        Channel channel = path.channels().get(0);
        List<Task> tasks = new ArrayList<>();
        Set<String> names = new HashSet<>();
        for (TagDocument entry : spec.elements()) {
            if (!entry.at("role").text().equals(trainer.name())) {
                throw entry.at("role").wrong(TopologyException.oneOf(List.of(trainer.name())));
            }
            TagDocument datasetGroups = entry.at("datasetGroups");
            for (String group : datasetGroups.fieldNames()) {
                if (!path.all().contains(group)) {
                    throw datasetGroups
                            .at(group)
                            .wrong("group '" + group + "'", TopologyException.oneOf(path.all()));
                }
                if (!channel.groups().contains(group)) {
                    continue;
                }
                Map<String, String> association =
                        trainer.associations().stream()
                                .filter(a -> a.containsValue(group))
                                .findFirst()
                                .orElseThrow(
                                        () ->
                                                datasetGroups
                                                        .at(group)
                                                        .wrong(
                                                                "group '" + group + "'",
                                                                "role '%s' has no groupAssociation"
                                                                                .formatted(
                                                                                        trainer
                                                                                                .name())
                                                                        + " with it"));
                for (TagDocument dataset : datasetGroups.at(group).elements()) {
                    if (!names.add(dataset.text())) {
                        throw dataset.wrong("each dataset once; its name is the trainer's id");
                    }
                    tasks.add(new Task(trainer.name(), association, dataset.text()));
                }
            }
        }
        return tasks;
    }

    private static List<List<Node>> tree(RolePath path) {
        int top = path.roles().size() - 1;
        List<List<Node>> levels = new ArrayList<>();
        // From the root down, so that parents exist; whatever its tasks, the root is one node.
        List<Node> above = List.of(new Node(path.roles().get(top).name(), "", ""));
        levels.add(above);
        for (int i = top - 1; i >= 1; i--) {
            above = level(path.roles().get(i), path.channels(), i, above);
            levels.add(0, above);
        }
        return levels;
    }

    private static List<Node> level(
            Role role, List<Channel> channels, int index, List<Node> above) {
        List<Node> nodes = new ArrayList<>();
        Map<String, Integer> siblings = new HashMap<>();
        Map<String, List<Node>> byGroup =
                above.stream().collect(Collectors.groupingBy(Node::group));
        for (Map<String, String> association : role.associations()) {
            String group = association.get(channels.get(index - 1).name());
            String upper = association.get(channels.get(index).name());
            List<Node> parents =
                    above.size() == 1 && above.get(0).parent().isEmpty()
                            ? above
                            : byGroup.get(upper);
            for (int replica = 0; replica < role.replica(); replica++) {
                int number = siblings.merge(group, 1, Integer::sum) - 1;
                nodes.add(
                        new Node(
                                "%s/%s/%d".formatted(role.name(), group, number),
                                group,
                                parents.get(number % parents.size()).name()));
            }
        }
        return nodes;
    }
}
