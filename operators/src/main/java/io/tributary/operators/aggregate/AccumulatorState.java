// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.aggregate;

import io.tributary.operators.types.FlowSerializer;
import io.tributary.protocol.message.RoundId;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.flink.core.memory.DataInputView;
import org.apache.flink.core.memory.DataInputViewStreamWrapper;
import org.apache.flink.core.memory.DataOutputView;
import org.apache.flink.core.memory.DataOutputViewStreamWrapper;
import org.apache.flink.runtime.state.KeyGroupRangeAssignment;
import org.apache.flink.runtime.state.KeyGroupStatePartitionStreamProvider;
import org.apache.flink.runtime.state.KeyedStateCheckpointOutputStream;

/**
 * Folds in a checkpoint, by key groups, so that a job may go on with another parallelism. They go
 * from their memory into the checkpoint's stream and back, and through no state backend: sums are
 * large and change whole, so one that keeps versions of values would write each several times.
 * Versioned by a number before each key group.
 */
final class AccumulatorState {

    private static final int VERSION = 2;

    /** In which all runs of a shard had the same weight. */
    static final int ONE_WEIGHT = 1;

    private AccumulatorState() {}

    /**
     * Writes folds of which nothing waits.
     *
     * @param keyGroups how many the job has
     */
    static void write(
            Map<FoldKey, LiveAccumulator> folds,
            FoldExecutor executor,
            int keyGroups,
            KeyedStateCheckpointOutputStream out)
            throws IOException {
        Map<Integer, List<FoldKey>> groups = new TreeMap<>();
        for (FoldKey fold : folds.keySet()) {
            int group = KeyGroupRangeAssignment.assignToKeyGroup(fold.key(), keyGroups);
            groups.computeIfAbsent(group, none -> new ArrayList<>()).add(fold);
        }
        DataOutputView view = new DataOutputViewStreamWrapper(out);
        for (Map.Entry<Integer, List<FoldKey>> group : groups.entrySet()) {
            out.startNewKeyGroup(group.getKey());
            view.writeInt(VERSION);
            view.writeInt(group.getValue().size());
            for (FoldKey fold : group.getValue()) {
                NodeShard.KeySerializer.INSTANCE.serialize(fold.key(), view);
                FlowSerializer.writeRound(fold.round(), view);
                executor.write(fold.key().shard(), folds.get(fold), view);
            }
        }
    }

    /** Reads the folds of some key groups. */
    static void read(
            Iterable<KeyGroupStatePartitionStreamProvider> groups,
            FoldExecutor executor,
            Map<FoldKey, LiveAccumulator> folds)
            throws IOException {
        for (KeyGroupStatePartitionStreamProvider group : groups) {
            DataInputView view = new DataInputViewStreamWrapper(group.getStream());
            int version = view.readInt();
            if (version != VERSION && version != ONE_WEIGHT) {
                throw new IOException(
                        "sums of version %d in the checkpoint, this one reads %d; resume with the version that wrote it"
                                .formatted(version, VERSION));
            }
            for (int count = view.readInt(); count > 0; count--) {
                NodeShard key = NodeShard.KeySerializer.INSTANCE.deserialize(view);
                RoundId round = FlowSerializer.readRound(view);
                folds.put(new FoldKey(key, round), executor.read(key.shard(), version, view));
            }
        }
    }
}
