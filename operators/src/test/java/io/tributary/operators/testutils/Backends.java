// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.testutils;

import org.apache.flink.core.execution.SavepointFormatType;
import org.apache.flink.runtime.checkpoint.OperatorSubtaskState;
import org.apache.flink.runtime.checkpoint.SavepointType;
import org.apache.flink.runtime.state.StateBackend;
import org.apache.flink.runtime.state.hashmap.HashMapStateBackend;
import org.apache.flink.state.forst.ForStStateBackend;
import org.apache.flink.state.rocksdb.EmbeddedRocksDBStateBackend;
import org.apache.flink.streaming.util.AbstractStreamOperatorTestHarness;

/** Where keyed state may be. */
public enum Backends {
    HEAP,
    ROCKSDB,
    FORST;

    /** A new one, incremental if it can be. */
    public StateBackend open() {
        return switch (this) {
            case HEAP -> new HashMapStateBackend();
            case ROCKSDB -> new EmbeddedRocksDBStateBackend(true);
            case FORST -> new ForStStateBackend();
        };
    }

    /**
     * What a job with this backend takes for another one to go on with: a checkpoint where that has
     * the same, and a savepoint where not.
     */
    public OperatorSubtaskState leave(
            AbstractStreamOperatorTestHarness<?> harness, Backends next, long id) throws Exception {
        return this == next
                ? harness.snapshot(id, id)
                : harness.snapshotWithLocalState(
                                id, id, SavepointType.savepoint(SavepointFormatType.CANONICAL))
                        .getJobManagerOwnedState();
    }
}
