// SPDX-License-Identifier: Apache-2.0

package io.tributary.sources.base.source;

import io.tributary.protocol.message.TrainerEvent;
import io.tributary.protocol.message.TrainerEvent.SubtaskLocated;
import io.tributary.protocol.tensor.ModelLayout;
import java.io.Serializable;
import java.util.Optional;
import java.util.function.Supplier;
import java.util.stream.IntStream;
import org.apache.flink.api.connector.source.Boundedness;
import org.apache.flink.api.connector.source.Source;
import org.apache.flink.api.connector.source.SourceReader;
import org.apache.flink.api.connector.source.SourceReaderContext;
import org.apache.flink.api.connector.source.SplitEnumerator;
import org.apache.flink.api.connector.source.SplitEnumeratorContext;
import org.apache.flink.api.connector.source.SupportsSplitReassignmentOnRecovery;
import org.apache.flink.connector.base.source.reader.splitreader.SplitReader;
import org.apache.flink.core.io.SimpleVersionedSerializer;

/**
 * A source of events whose splits are lanes. It is at most once by itself; a trainer that gets no
 * receipt sends again.
 */
public abstract class LaneSource
        implements Source<TrainerEvent, LaneSplit, LaneEnumeratorState>,
                SupportsSplitReassignmentOnRecovery {

    private static final long serialVersionUID = 1L;

    private final int lanes;
    private final boolean onEachHost;

    /** Gives the model's layout, on the task manager. */
    @FunctionalInterface
    public interface LayoutSupplier extends Supplier<ModelLayout>, Serializable {}

    /**
     * @param lanes number of lanes, the same for ever
     * @param onEachHost whether each host has lanes of its own
     */
    protected LaneSource(int lanes, boolean onEachHost) {
        this.lanes = lanes;
        this.onEachHost = onEachHost;
    }

    /** Where a reader is; empty where nobody wants to know. */
    protected Optional<SubtaskLocated> locate(SourceReaderContext context) {
        return Optional.empty();
    }

    /** Reads the lanes of one reader, on a thread of its own. */
    protected abstract SplitReader<TrainerEvent, LaneSplit> splitReader(
            SourceReaderContext context);

    @Override
    public final Boundedness getBoundedness() {
        return Boundedness.CONTINUOUS_UNBOUNDED;
    }

    @Override
    public final SplitEnumerator<LaneSplit, LaneEnumeratorState> createEnumerator(
            SplitEnumeratorContext<LaneSplit> context) {
        return restoreEnumerator(
                context,
                new LaneEnumeratorState(
                        IntStream.range(0, onEachHost ? 0 : lanes)
                                .mapToObj(lane -> new LaneSplit(lane, true))
                                .toList()));
    }

    @Override
    public final SplitEnumerator<LaneSplit, LaneEnumeratorState> restoreEnumerator(
            SplitEnumeratorContext<LaneSplit> context, LaneEnumeratorState state) {
        return new LaneEnumerator(context, state, onEachHost ? lanes : 0);
    }

    @Override
    public final SourceReader<TrainerEvent, LaneSplit> createReader(SourceReaderContext context) {
        return LaneReader.of(() -> splitReader(context), locate(context), context);
    }

    @Override
    public final SimpleVersionedSerializer<LaneSplit> getSplitSerializer() {
        return new LaneSerializers.Split();
    }

    @Override
    public final SimpleVersionedSerializer<LaneEnumeratorState>
            getEnumeratorCheckpointSerializer() {
        return new LaneSerializers.State();
    }
}
