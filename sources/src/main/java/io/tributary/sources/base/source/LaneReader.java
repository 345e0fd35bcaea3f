// SPDX-License-Identifier: Apache-2.0

package io.tributary.sources.base.source;

import io.tributary.protocol.message.TrainerEvent;
import io.tributary.protocol.message.TrainerEvent.SubtaskLocated;
import java.util.List;
import java.util.Optional;
import java.util.function.Supplier;
import org.apache.flink.api.connector.source.SourceReaderContext;
import org.apache.flink.connector.base.source.reader.splitreader.SplitReader;

/** Emits what its split reader finds. */
final class LaneReader extends JobEndAwareReader<TrainerEvent, LaneSplit, LaneSplit> {

    private final LaneLoads loads;

    private LaneReader(
            Supplier<SplitReader<TrainerEvent, LaneSplit>> reader,
            LaneLoads loads,
            Optional<SubtaskLocated> located,
            SourceReaderContext context) {
        super(
                reader,
                (event, output, split) -> {
                    loads.count(event);
                    output.collect(called(event, located));
                },
                located,
                context);
        this.loads = loads;
    }

    static LaneReader of(
            Supplier<SplitReader<TrainerEvent, LaneSplit>> reader,
            Optional<SubtaskLocated> located,
            SourceReaderContext context) {
        return new LaneReader(reader, new LaneLoads(), located, context);
    }

    /** Checkpoints come at a fair pace for telling the enumerator what comes by which lane. */
    @Override
    public List<LaneSplit> snapshotState(long checkpoint) {
        if (!loads.isEmpty()) {
            context.sendSourceEventToCoordinator(loads.take());
        }
        return super.snapshotState(checkpoint);
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
