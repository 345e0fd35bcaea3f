// SPDX-License-Identifier: Apache-2.0

package io.tributary.bench;

import java.io.IOException;
import java.util.Locale;
import org.apache.flink.configuration.CheckpointingOptions;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.MemorySize;
import org.apache.flink.configuration.StateBackendOptions;
import org.apache.flink.runtime.state.StateBackend;
import org.apache.flink.runtime.state.StateBackendLoader;
import org.apache.flink.state.forst.ForStOptions;
import org.apache.flink.state.rocksdb.RocksDBOptions;
import org.apache.flink.util.DynamicCodeLoadingException;

/** Where keyed state is. */
enum Backend {
    HEAP("hashmap"),
    ROCKSDB("rocksdb"),
    FORST("forst");

    /** What a slot has with Flink's defaults and four slots; the harness itself gives 3 MB. */
    private static final MemorySize MEMORY = MemorySize.ofMebiBytes(128);

    private final String flinks;

    Backend(String flinks) {
        this.flinks = flinks;
    }

    /** Flink's settings for it. */
    Configuration configuration() {
        Configuration all = new Configuration();
        all.set(StateBackendOptions.STATE_BACKEND, flinks);
        all.set(CheckpointingOptions.INCREMENTAL_CHECKPOINTS, true);
        all.set(RocksDBOptions.FIX_PER_SLOT_MEMORY_SIZE, MEMORY);
        all.set(ForStOptions.FIX_PER_SLOT_MEMORY_SIZE, MEMORY);
        return all;
    }

    StateBackend open() throws DynamicCodeLoadingException, IOException {
        return StateBackendLoader.loadStateBackendFromConfig(
                configuration(), Backend.class.getClassLoader(), null);
    }

    @Override
    public String toString() {
        return name().toLowerCase(Locale.ROOT);
    }
}
