// SPDX-License-Identifier: Apache-2.0

package io.tributary.shm.flow;

import io.tributary.protocol.message.Arrival;
import io.tributary.protocol.message.Arrival.Located;
import java.util.Optional;
import java.util.function.Supplier;
import org.apache.flink.api.connector.source.SourceReaderContext;
import org.apache.flink.connector.base.source.reader.splitreader.SplitReader;

/** Emits what its split reader finds. */
final class LaneReader extends EndingReader<Arrival, LaneSplit, LaneSplit> {

    LaneReader(
            Supplier<SplitReader<Arrival, LaneSplit>> reader,
            Optional<Located> located,
            SourceReaderContext context) {
        super(
                reader,
                (arrival, output, split) -> output.collect(called(arrival, located)),
                located,
                context);
    }

    @Override
    protected LaneSplit initializedState(LaneSplit split) {
        return split;
    }

    @Override
    protected LaneSplit toSplitType(String id, LaneSplit state) {
        return state.begun();
    }
}
