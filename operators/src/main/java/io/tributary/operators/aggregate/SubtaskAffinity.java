// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.aggregate;

import java.util.Arrays;
import java.util.Collection;
import java.util.List;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import org.apache.flink.runtime.state.KeyGroupRangeAssignment;

/**
 * Subtasks that fold for a tree node, such as those of one host. It is part of the node's name, so
 * that keys, state and the order of the stream need to know nothing of hosts: {@code leaf@0.3/6} is
 * the node {@code leaf} at the subtasks 0 and 3 of 6. Its shards are dealt out to them. When the
 * job goes on with another parallelism, what is under such a name stays together all the same.
 * Nodes of no host are at all subtasks: {@code middle@/6}, and {@code top@*}, whose keys are the
 * same at any parallelism. Flink's own hash of a shard would do as well, were it not that a few
 * shards then often meet at the same subtask.
 *
 * @param subtasks their numbers, ascending; none where all are meant
 * @param parallelism of the level
 */
public record SubtaskAffinity(List<Integer> subtasks, int parallelism) {

    /** Number of key groups; never changes, or no state could be restored. */
    public static final int KEY_GROUPS = 1 << SubtaskAffinity.KEY_GROUP_BITS;

    private static final int KEY_GROUP_BITS = 7;

    private static final Pattern SUFFIX =
            Pattern.compile("@(\\d{1,3}(?:\\.\\d{1,3})*)?/(\\d{1,3})");

    /** What the name of a node ends with whose keys are the same at any parallelism. */
    private static final String ANY = "@*";

    private static final int[] HASHES = hashes();

    /** For each key group, a hash that leads there. */
    private static int[] hashes() {
        int[] hashes = new int[KEY_GROUPS];
        Arrays.fill(hashes, -1);
        int found = 0;
        for (int hash = 0; found < KEY_GROUPS; hash++) {
            int group = KeyGroupRangeAssignment.computeKeyGroupForKeyHash(hash, KEY_GROUPS);
            if (hashes[group] < 0) {
                hashes[group] = hash;
                found++;
            }
        }
        return hashes;
    }

    /** The affinity to these subtasks. */
    public static SubtaskAffinity of(Collection<Integer> subtasks, int parallelism) {
        return new SubtaskAffinity(List.copyOf(new TreeSet<>(subtasks)), parallelism);
    }

    /** All subtasks. */
    public static SubtaskAffinity everywhere(int parallelism) {
        return new SubtaskAffinity(List.of(), parallelism);
    }

    /**
     * The name of a tree node that is at all subtasks, however many: what it remembers from round
     * to round is found again when the job goes on with another parallelism.
     */
    public static String anywhere(String node) {
        return node + ANY;
    }

    /** The name of a tree node whose shards are dealt out to these subtasks. */
    public String name(String node) {
        return "%s@%s/%d"
                .formatted(
                        node,
                        subtasks.stream().map(String::valueOf).collect(Collectors.joining(".")),
                        parallelism);
    }

    /** The part of all folds that these subtasks do if no node belongs to a host. */
    public double share() {
        return (double) subtasks.size() / parallelism;
    }

    /**
     * The hash of a key, by which Flink chooses the subtask: the shard's alone if the name says
     * nothing of subtasks, as in checkpoints of earlier versions.
     */
    static int hash(String name, int shard) {
        if (name.endsWith(ANY)) {
            // Key groups are dealt out in ranges; in this order each next shard is far from the
            // last.
            return HASHES[Integer.reverse(shard % KEY_GROUPS) >>> Integer.SIZE - KEY_GROUP_BITS];
        }
        int at = name.lastIndexOf('@');
        Matcher suffix = SUFFIX.matcher(at < 0 ? "" : name.substring(at));
        if (!suffix.matches()) {
            return shard;
        }
        int parallelism = Integer.parseInt(suffix.group(2));
        boolean everywhere = suffix.group(1) == null;
        String[] subtasks = everywhere ? new String[0] : suffix.group(1).split("\\.");
        int count = everywhere ? parallelism : subtasks.length;
        int which = count == 0 ? 0 : shard % count;
        int subtask = everywhere ? which : Integer.parseInt(subtasks[which]);
        if (subtask >= parallelism || parallelism > KEY_GROUPS) {
            // Somebody has named a group like that.
            return shard;
        }
        return HASHES[group(subtask, parallelism, shard / count)];
    }

    /** One of the key groups of a subtask. */
    private static int group(int subtask, int parallelism, int which) {
        var range =
                KeyGroupRangeAssignment.computeKeyGroupRangeForOperatorIndex(
                        KEY_GROUPS, parallelism, subtask);
        return range.getStartKeyGroup() + which % range.getNumberOfKeyGroups();
    }
}
