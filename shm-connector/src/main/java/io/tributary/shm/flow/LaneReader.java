// SPDX-License-Identifier: Apache-2.0

package io.tributary.shm.flow;

import io.tributary.protocol.message.Arrival;
import java.util.Map;
import java.util.function.Supplier;
import org.apache.flink.api.connector.source.ReaderOutput;
import org.apache.flink.api.connector.source.SourceReaderContext;
import org.apache.flink.connector.base.source.reader.SingleThreadMultiplexSourceReaderBase;
import org.apache.flink.connector.base.source.reader.splitreader.SplitReader;
import org.apache.flink.core.io.InputStatus;

/** Emits what its split reader finds, until that finishes a lane: then the job is over. */
final class LaneReader
        extends SingleThreadMultiplexSourceReaderBase<Arrival, Arrival, LaneSplit, LaneSplit> {

    private boolean over;

    LaneReader(Supplier<SplitReader<Arrival, LaneSplit>> reader, SourceReaderContext context) {
        super(
                reader,
                (arrival, output, split) -> output.collect(arrival),
                context.getConfiguration(),
                context);
    }

    @Override
    public InputStatus pollNext(ReaderOutput<Arrival> output) throws Exception {
        InputStatus status = super.pollNext(output);
        return over ? InputStatus.END_OF_INPUT : status;
    }

    @Override
    protected void onSplitFinished(Map<String, LaneSplit> finished) {
        over = true;
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
