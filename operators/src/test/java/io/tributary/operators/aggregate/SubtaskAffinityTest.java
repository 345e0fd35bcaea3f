// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.aggregate;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.Arrays;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import net.jqwik.api.constraints.NotEmpty;
import net.jqwik.api.constraints.Size;
import org.apache.flink.runtime.state.KeyGroupRangeAssignment;

class SubtaskAffinityTest {

    private static int subtask(String node, int shard, int parallelism) {
        return KeyGroupRangeAssignment.assignKeyToParallelOperator(
                new NodeShard(node, shard), SubtaskAffinity.KEY_GROUPS, parallelism);
    }

    @Property
    void shardsAreDealtOutToAllSubtasksOfAHomeAndToNoOthers(
            @ForAll @IntRange(min = 1, max = SubtaskAffinity.KEY_GROUPS) int parallelism,
            @ForAll @NotEmpty @Size(max = 8) Set<@IntRange(min = 0, max = 127) Integer> numbers) {
        Set<Integer> subtasks =
                numbers.stream().map(n -> n % parallelism).collect(Collectors.toSet());
        String name = SubtaskAffinity.of(subtasks, parallelism).name("leaf/a@b");

        Set<Integer> used =
                IntStream.range(0, 4 * subtasks.size())
                        .mapToObj(shard -> subtask(name, shard, parallelism))
                        .collect(Collectors.toSet());

        assertThat(used).isEqualTo(subtasks);
    }

    /** However few there are, no subtask gets two more than another. */
    @Property
    void shardsOfNodesWithoutAHomeAreDealtOutEvenly(
            @ForAll @IntRange(min = 1, max = SubtaskAffinity.KEY_GROUPS) int parallelism,
            @ForAll @IntRange(min = 1, max = 500) int shards) {
        int[] counts = new int[parallelism];
        for (int shard = 0; shard < shards; shard++) {
            counts[
                    subtask(
                            SubtaskAffinity.everywhere(parallelism).name("top"),
                            shard,
                            parallelism)]++;
        }
        assertThat(Arrays.stream(counts).max().getAsInt())
                .isLessThanOrEqualTo(Arrays.stream(counts).min().getAsInt() + 1);
    }

    @Property
    void aNameWithoutAHomeIsWhereItsShardIs(
            @ForAll @IntRange(min = 0) int shard,
            @ForAll @IntRange(min = 1, max = SubtaskAffinity.KEY_GROUPS) int parallelism) {
        int top = subtask("top", shard, parallelism);
        assertThat(subtask("leaf/x@y", shard, parallelism)).isEqualTo(top);
        // Groups may be called anything.
        assertThat(subtask("leaf@9/3", shard, parallelism)).isEqualTo(top);
        assertThat(subtask("leaf@999/999", shard, parallelism)).isEqualTo(top);
        assertThat(subtask("leaf@/999", shard, parallelism)).isEqualTo(top);
        assertThat(subtask("leaf@/0", shard, parallelism)).isEqualTo(top);
    }

    /** What the top remembers is found again, and no subtask gets much more than another. */
    @Property
    void aNodeAnywhereHasTheSameKeysAtAnyParallelism(
            @ForAll @IntRange(min = 1, max = 16) int parallelism,
            @ForAll @IntRange(min = 1, max = 500) int shards) {
        String name = SubtaskAffinity.anywhere("top");
        assertThat(name).isEqualTo("top@*");
        int[] counts = new int[parallelism];
        for (int shard = 0; shard < shards; shard++) {
            counts[subtask(name, shard, parallelism)]++;
        }
        int most = Arrays.stream(counts).max().getAsInt();
        int fewest = Arrays.stream(counts).min().getAsInt();
        boolean powerOfTwo = Integer.bitCount(parallelism) == 1;
        assertThat(most).isLessThanOrEqualTo(fewest + (powerOfTwo ? 1 : 4 + shards / 64));
    }
}
