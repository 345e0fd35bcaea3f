// SPDX-License-Identifier: Apache-2.0

package io.tributary.protocol.topology;

import com.fasterxml.jackson.annotation.JsonIgnore;
import com.fasterxml.jackson.annotation.JsonInclude;
import java.io.Serializable;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;

/**
 * A compiled topology.
 *
 * @param levels role names, the trainer role first, the root last
 * @param groups the groups of each channel on that way
 * @param tasks the expanded tasks, by role in alphabetical order
 * @param nodes the aggregation tree: one list for each aggregator level, lowest first, the last
 *     with the root alone
 */
public record Topology(
        List<String> levels,
        Map<String, List<String>> groups,
        List<Task> tasks,
        @JsonIgnore List<List<Node>> nodes)
        implements Serializable {

    /**
     * One task of a role.
     *
     * @param role the role
     * @param group its group on each channel
     * @param dataset the dataset it reads; empty for aggregators
     */
    public record Task(
            String role,
            Map<String, String> group,
            @JsonInclude(JsonInclude.Include.NON_EMPTY) String dataset)
            implements Serializable {}

    /**
     * One node of the aggregation tree.
     *
     * @param name unique in the topology, made of role, group and replica
     * @param group the group whose members it aggregates
     * @param parent name of the node that takes its partial sums; empty for the root
     */
    public record Node(String name, String group, String parent) implements Serializable {}

    /**
     * Reads and compiles Flame's TAG, of which one model comes.
     *
     * @param schema a {@code schema.json}
     * @param dataSpec a {@code dataSpec.json}, if there is one
     * @throws TopologyException at the first mistake
     */
    public static Topology read(Path schema, Optional<Path> dataSpec) {
        return TopologyCompiler.compile(TagDocument.read(schema), dataSpec.map(TagDocument::read));
    }

    /**
     * Reads and compiles Flame's TAG, in which each group of the root's channel is a model of its
     * own.
     *
     * @return the topology of each model, by its group, in the order of the file
     * @throws TopologyException at the first mistake
     */
    public static Map<String, Topology> readEach(Path schema, Optional<Path> dataSpec) {
        return TopologyCompiler.compileEach(
                TagDocument.read(schema), dataSpec.map(TagDocument::read));
    }

    /**
     * The same from JSON in memory.
     *
     * @param name stands for the file's name in errors
     * @throws TopologyException at the first mistake
     */
    public static Topology parse(String name, byte[] schema) {
        return TopologyCompiler.compile(TagDocument.parse(name, schema), Optional.empty());
    }

    /** The tree's only node without a parent. */
    public Node root() {
        return nodes.get(nodes.size() - 1).get(0);
    }

    /** Groups that a trainer may belong to. */
    public List<String> trainerGroups() {
        return groups.values().iterator().next();
    }

    /** Number of tasks of each role. */
    public Map<String, Long> counts() {
        Map<String, Long> counts = new TreeMap<>();
        levels.forEach(role -> counts.put(role, 0L));
        tasks.forEach(task -> counts.merge(task.role(), 1L, Long::sum));
        return counts;
    }
}
